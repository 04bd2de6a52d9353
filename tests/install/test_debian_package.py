"""The Debian package, installed by apt on a clean Debian (make packagetest)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from affectd import __version__
from tests.conftest import ROOT, lines_of, run_affectd
from tests.install.tree import Tree

pytestmark = pytest.mark.slow

DEBIAN = ROOT / "build" / "package-test" / "bookworm"
CONFIG = "/etc/affectd/affectd.yaml"
JOURNAL = "/var/lib/affectd/journal.sqlite"
ENABLED = "/etc/systemd/system/multi-user.target.wants/affectd.service"
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends")


@pytest.fixture(scope="module")
def tree(package: Path, higher: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A Debian that knows no more than its mirror."""
    subprocess.run([ROOT / "tests" / "install" / "debian.sh", DEBIAN], check=True)
    binds = [(package.parent, "/mnt/packages"), (higher.parent, "/mnt/higher")]
    tree = Tree(tmp_path_factory.mktemp("debian"), DEBIAN, binds)
    try:
        tree.run("apt-get", "-qq", "update")
        yield tree
    finally:
        tree.close()


@pytest.fixture
def debian(tree: Tree, package: Path) -> Tree:
    """That Debian, with the package as it is after its first installation."""
    tree.run("dpkg", "--purge", "affectd")
    install(tree, f"/mnt/packages/{package.name}")
    return tree


def install(tree: Tree, package: str, *options: str) -> None:
    tree.run(*APT, "install", *options, package)


def test_the_package_passes_lintian(package: Path) -> None:
    done = subprocess.run(
        ["lintian", "--fail-on", "error", package], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_package_tells_nothing_of_the_machine_that_built_it(package: Path) -> None:
    command = f"dpkg-deb --fsys-tarfile {package} | grep -caF -e {ROOT} -e /tmp/tmp."
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0"


def test_the_command_works_and_the_configuration_is_fine(debian: Tree) -> None:
    assert debian.run("affectd", "--version") == f"affectd {__version__}\n"
    assert debian.run("affectd", "config", "check") == f"{CONFIG} is fine\n"


def test_the_demo_reads_what_it_reads_elsewhere(debian: Tree) -> None:
    inside = lines_of(debian.run("affectd", "demo", "--fast", "--json"))
    outside = lines_of(run_affectd("demo", "--fast", "--json").stdout)
    assert [one["emotion"] for one in inside] == [one["emotion"] for one in outside]
    for one, other in zip(inside, outside, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-3)


def test_the_service_is_enabled_and_runs_the_package_as_a_user_of_its_own(debian: Tree) -> None:
    assert debian.run("id", "-nG", "affectd").split() == ["affectd", "audio"]
    unit = debian.run("readlink", "-f", ENABLED).strip()
    assert unit in {f"{lib}/systemd/system/affectd.service" for lib in ("/lib", "/usr/lib")}
    text = debian.path(unit).read_text()
    assert f"\nExecStart=/usr/bin/affectd run --config {CONFIG}\n" in text
    assert "\nUser=affectd\n" in text
    checked = debian.ask("systemd-analyze", "verify", "--recursive-errors=yes", unit)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_user_of_the_machine_may_have_a_service_too(debian: Tree) -> None:
    unit = debian.path("/usr/lib/systemd/user/affectd.service").read_text()
    assert "\nExecStart=/usr/bin/affectd run\n" in unit
    assert not debian.path("/etc/systemd/user/default.target.wants/affectd.service").exists()


def test_files_are_roots_and_only_root_writes_them(debian: Tree) -> None:
    owned = debian.run("dpkg-query", "--listfiles", "affectd").split("\n")
    wrong = [
        path
        for path in owned
        if path
        and not debian.path(path).is_symlink()
        and (debian.path(path).stat().st_uid or debian.path(path).stat().st_mode & 0o022)
    ]
    assert len(owned) > 1000
    assert wrong == []
    assert debian.run("stat", "--format=%a %U", CONFIG) == "644 root\n"


def test_the_services_user_runs_it(debian: Tree) -> None:
    as_service = ("setpriv", "--reuid=affectd", "--regid=affectd", "--init-groups")
    assert "is fine" in debian.run(
        *as_service, "affectd", "config", "check", HOME="/var/lib/affectd"
    )


def test_affectd_install_leaves_the_service_to_the_package(debian: Tree) -> None:
    done = debian.ask("affectd", "install")
    assert done.returncode == 1
    assert "the Debian package of affectd brought the service" in done.stderr


def test_an_upgrade_keeps_the_edited_configuration_and_the_journal(
    debian: Tree, higher: Path
) -> None:
    debian.write(CONFIG, "node: kitchen\n")
    debian.write(JOURNAL, "mine")
    install(debian, f"/mnt/higher/{higher.name}")
    assert "999.0" in debian.run("dpkg-query", "--show", "affectd")
    assert debian.path(CONFIG).read_text() == "node: kitchen\n"
    assert debian.path(JOURNAL).read_text() == "mine"
    assert debian.path(ENABLED).is_symlink()
    assert debian.run("affectd", "--version") == f"affectd {__version__}\n"


def test_another_installation_of_the_same_keeps_them_too(debian: Tree, package: Path) -> None:
    debian.write(CONFIG, "node: kitchen\n")
    debian.write(JOURNAL, "mine")
    install(debian, f"/mnt/packages/{package.name}", "--reinstall")
    assert debian.path(CONFIG).read_text() == "node: kitchen\n"
    assert debian.path(JOURNAL).read_text() == "mine"


def test_a_service_that_was_disabled_stays_so(debian: Tree, higher: Path) -> None:
    debian.run("systemctl", "disable", "affectd")
    install(debian, f"/mnt/higher/{higher.name}")
    assert not debian.path(ENABLED).is_symlink()


def test_a_removal_keeps_what_people_wrote_and_affectd_learnt(debian: Tree) -> None:
    kept = [CONFIG, "/etc/affectd/mqtt_password", JOURNAL, "/var/log/affectd/readings.jsonl"]
    for path in kept:
        debian.write(path, "mine")
    debian.run(*APT, "remove", "affectd")
    assert all(debian.path(path).read_text() == "mine" for path in kept)
    assert not debian.path("/usr/lib/affectd").exists()
    assert debian.run("id", "-u", "affectd").strip().isdecimal()


def test_a_purge_leaves_nothing(debian: Tree) -> None:
    for path in ("/etc/affectd/mqtt_password", JOURNAL, "/var/log/affectd/readings.jsonl"):
        debian.write(path, "mine")
    debian.run(*APT, "purge", "affectd")
    assert debian.run("find", "/", "-xdev", "-name", "*affectd*", "-not", "-path", "/mnt/*") == ""
    # Of what passwd and dpkg changed, they keep copies.
    found = debian.ask("grep", "-rl", "affectd", "/etc", "/var/lib/systemd", "/usr/lib/sysusers.d")
    assert [path for path in found.stdout.split() if not path.endswith("-")] == []
    assert debian.ask("id", "affectd").returncode == 1
