"""A machine with affectd in /opt/affectd, to install the service on."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.install.tree import Tree
from tests.systemd.machine import Machine

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# The library of that Python goes before one of the same name that the machine has.
COMMAND = """\
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib
exec '{folder}/bin/python' -m affectd.daemon "$@"
"""


def add_affectd(tree: Tree | Machine, folder: str, python: str = "/opt/python") -> None:
    """A virtual environment with this checkout's affectd and what these tests have installed."""
    site = f"{folder}/lib/{PYTHON}/site-packages"
    tree.write(f"{folder}/pyvenv.cfg", f"home = {python}/bin\n")
    tree.write(f"{folder}/bin/affectd", COMMAND.format(folder=folder), 0o755)
    tree.run("ln", "-sfn", f"{python}/bin/{PYTHON}", f"{folder}/bin/python")
    tree.copy(ROOT / "src" / "affectd", f"{site}/affectd")
    tree.write(f"{site}/here.pth", "/opt/packages\n")


@pytest.fixture(scope="session")
def package() -> Path:
    """What `make deb` has built last."""
    built = sorted((ROOT / "dist").glob("affectd_*.deb"), key=lambda path: path.stat().st_mtime)
    assert built, "there is no dist/affectd_*.deb; run `make deb`"
    return built[-1]


@pytest.fixture(scope="session")
def higher(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package under a higher version."""
    folder = tmp_path_factory.mktemp("higher")
    subprocess.run(["dpkg-deb", "-R", package, folder / "affectd"], check=True)
    control = folder / "affectd" / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 999.0", control.read_text()))
    subprocess.run(["dpkg-deb", "-b", "-Znone", folder / "affectd", folder], check=True)
    return folder / next(folder.glob("*.deb")).name


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """This machine, without a service, and with affectd in /opt/affectd; systemd does not run."""
    if os.geteuid() != 0:
        pytest.skip("a machine to install on can only be made as root")
    python, packages = Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))
    binds = [(python, "/opt/python"), (python, "/root/python"), (packages, "/opt/packages")]
    tree = Tree(tmp_path, binds=binds)
    try:
        add_affectd(tree, "/opt/affectd")
        yield tree
    finally:
        tree.close()
