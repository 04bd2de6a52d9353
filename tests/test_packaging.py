import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, lines_of


def built_wheel(source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, source], check=True)
    (path,) = folder.glob("affectd-*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_a_source_archive_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    code = f"from hatchling.build import build_sdist; print(build_sdist({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("affectd-*.tar.gz")
    again = built_wheel(archive, tmp_path)
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


def test_a_wheel_has_one_package_with_bundle_demo_configuration_and_units(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"affectd"}
    assert {
        "affectd/models/bundle.json",
        "affectd/models/encoder.tflite",
        "affectd/models/cnn.tflite",
        "affectd/models/lstm.tflite",
        "affectd/models/speech.tflite",
        "affectd/models/MODEL_CARD.md",
        "affectd/models/demo/before.ogg",
        "affectd/models/demo/recording.ogg",
        "affectd/models/demo/ATTRIBUTION.md",
        "affectd/daemon/report/page.html",
        "affectd/config/affectd.yaml",
        "affectd/config/schema/utterance.schema.json",
        "affectd/systemd/affectd.service",
        "affectd/systemd/affectd.sysusers",
        "affectd/systemd/user/affectd.service",
    } <= names


def test_an_installed_wheel_plays_the_demo(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "import affectd, sys; print(affectd.__file__, file=sys.stderr);"
    code += "from affectd.daemon.cli import main; sys.exit(main(['demo', '--fast', '--json']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(site) in done.stderr
    assert len(lines_of(done.stdout)) >= 5
