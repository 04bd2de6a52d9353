"""affectd on the Debian and the Python of a Raspberry Pi, under QEMU: same readings as here.

That says nothing of speed. `make raspberrypi` runs it, as root; see docs/raspberry-pi.md.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.conftest import DEMO, ROOT, lines_of, run_affectd
from tests.test_packaging import built_wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3600)]

HERE: Final = Path(__file__).parent
LARGEST: Final = 1e-4  # difference of a probability
# On 32-bit ARM NumPy, PyYAML and CFFI are Debian's, as no wheel of theirs is among those of PyPI.
SYSTEMS: Final = {
    ("bookworm", "arm64"): ("", "ai_edge_litert"),
    ("trixie", "arm64"): ("", "ai_edge_litert"),
    ("bookworm", "armhf"): ("--system-site-packages", "tflite_runtime"),
}
INSTALL: Final = """
set -e
python3 -m venv $1 /opt/affectd
/opt/affectd/bin/pip install --quiet ./affectd-*.whl
/opt/affectd/bin/pip install --quiet --force-reinstall --no-deps ./affectd-*.whl
/opt/affectd/bin/python -c "import $2"
"""


@pytest.fixture
def folder(tmp_path: Path, speech: NDArray[np.int16]) -> Path:
    """The wheel and recordings of several forms."""
    built_wheel(ROOT, tmp_path)
    shutil.copy(DEMO, tmp_path / "demo.ogg")
    noise = np.random.default_rng(0).normal(0, 300, speech.size)
    noisy = np.clip(speech + noise, -32768, 32767).astype(np.int16)
    soundfile.write(tmp_path / "noisy.wav", noisy, 16_000)
    soundfile.write(tmp_path / "stereo.flac", np.stack([speech, speech // 2], axis=1), 16_000)
    return tmp_path


@pytest.mark.parametrize(("suite", "architecture"), SYSTEMS)
def test_readings_are_those_of_this_machine(suite: str, architecture: str, folder: Path) -> None:
    def tree(verb: str, *words: object) -> str:
        command = [str(HERE / "debian.sh"), verb, suite, architecture, *map(str, words)]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout

    options, runtime = SYSTEMS[suite, architecture]
    tree("make")
    tree("run", folder, "sh", "-c", INSTALL, "sh", options, runtime)
    names = ["demo.ogg", "noisy.wav", "stereo.flac"]
    there: list[dict[str, Any]] = lines_of(
        tree("run", folder, "/opt/affectd/bin/affectd", "analyze", "--json", *names)
    )
    here: list[dict[str, Any]] = lines_of(
        run_affectd("analyze", "--json", *(folder / name for name in names)).stdout
    )
    assert len(here) > 20
    assert [what_is_equal(one) for one in there] == [what_is_equal(one) for one in here]
    largest = max(
        abs(value - other["probabilities"][emotion])
        for one, other in zip(there, here, strict=True)
        for emotion, value in one["probabilities"].items()
    )
    print(f"{suite} {architecture}: {len(there)} readings, probabilities within {largest:.0e}")
    assert largest <= LARGEST


def what_is_equal(reading: dict[str, Any]) -> tuple[Any, ...]:
    """File, place and decision of a reading."""
    keys = ("start_s", "duration_s", "emotion", "set", "flaws")
    return (Path(reading["file"]).name, *(reading[key] for key in keys))
