"""A machine with affectd in /opt/affectd, to install the service on."""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.install.tree import Tree

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
COMMAND = """\
#!{folder}/bin/python
import sys
from affectd.daemon.cli import main
sys.exit(main())
"""


def add_affectd(tree: Tree, folder: str, python: str = "/opt/python") -> None:
    """A virtual environment with this checkout's affectd and what these tests have installed."""
    site = f"{folder}/lib/{PYTHON}/site-packages"
    tree.write(f"{folder}/pyvenv.cfg", f"home = {python}/bin\n")
    tree.write(f"{folder}/bin/affectd", COMMAND.format(folder=folder), 0o755)
    link = tree.path(f"{folder}/bin/python")
    link.unlink(missing_ok=True)
    link.symlink_to(f"{python}/bin/{PYTHON}")
    tree.copy(ROOT / "src" / "affectd", f"{site}/affectd")
    tree.write(f"{site}/here.pth", "/opt/packages\n")


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
