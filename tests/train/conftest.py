from pathlib import Path

import pytest

from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train.corpora import ravdess
from affectd.train.examples import Examples, extract

# Two of them are test actors of the first fold.
ACTORS = (1, 2, 3, 4, 11)


@pytest.fixture(scope="session")
def few_actors(ravdess_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real RAVDESS with a few of its actors."""
    root = tmp_path_factory.mktemp("ravdess")
    for actor in ACTORS:
        (root / f"Actor_{actor:02}").symlink_to(ravdess_root / f"Actor_{actor:02}")
    return root


@pytest.fixture(scope="session")
def examples(few_actors: Path) -> Examples:
    return extract(ravdess(few_actors), FeatureSpec(), jobs=2)
