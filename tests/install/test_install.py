import re

import pytest

from affectd import __version__
from tests.install.conftest import add_affectd
from tests.install.tree import Tree

AFFECTD = "/opt/affectd/bin/affectd"
UNIT = "/etc/systemd/system/affectd.service"
ENABLED = "/etc/systemd/system/multi-user.target.wants/affectd.service"
CONFIG = "/etc/affectd/affectd.yaml"
# Of all of these, what `find` tells, the time of the last change among it.
LOOK = ("find", "/etc", "/var", "/usr/local", "/home", "-printf", r"%p %M %u:%g %s %T@ %l\n")


def seen(tree: Tree) -> str:
    return tree.run(*LOOK)


def names(tree: Tree) -> set[str]:
    """All files, but for the copies that programs keep of what they changed."""
    return {line.split()[0] for line in seen(tree).splitlines()} - {
        f"/etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
    }


def refused(tree: Tree, *words: str, **environment: str) -> str:
    """What is said of a command that fails, and changes nothing."""
    before = seen(tree)
    done = tree.ask(*words, **environment)
    assert done.returncode == 1
    assert seen(tree) == before
    return done.stderr


def test_a_dry_run_tells_every_step_and_does_none(tree: Tree) -> None:
    before = seen(tree)
    assert tree.run(AFFECTD, "install", "--dry-run").splitlines() == [
        "would create the user affectd, in the group audio",
        f"would write {CONFIG}, with every key's default",
        f"would write {UNIT}, which starts {AFFECTD}",
        "would run systemctl enable affectd",
        "would leave the start to the next boot or login, as systemd does not run here",
    ]
    assert seen(tree) == before


def test_an_installation_has_user_configuration_and_an_enabled_unit(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    assert tree.run("id", "-nG", "affectd").split() == ["affectd", "audio"]
    assert tree.run("readlink", ENABLED).strip() == UNIT
    assert tree.run("systemctl", "is-enabled", "affectd").strip() == "enabled"
    assert f"\nExecStart={AFFECTD} run --config {CONFIG}\n" in tree.path(UNIT).read_text()
    checked = tree.ask("systemd-analyze", "verify", "--recursive-errors=yes", UNIT)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "is fine" in tree.run(AFFECTD, "config", "check", "--config", CONFIG)


def test_the_services_user_can_read_what_a_careful_root_installs(tree: Tree) -> None:
    tree.run("sh", "-c", f"umask 077 && {AFFECTD} install")
    as_service = ("setpriv", "--reuid=affectd", "--regid=affectd", "--clear-groups")
    tree.run(*as_service, "cat", CONFIG, UNIT)


def test_another_installation_changes_nothing_and_says_so(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    before = seen(tree)
    told = tree.run(AFFECTD, "install")
    assert told.endswith("nothing was to do: the service is installed\n")
    assert seen(tree) == before


def test_a_configuration_that_is_there_is_kept(tree: Tree) -> None:
    tree.write(CONFIG, "node: kitchen\n")
    assert f"keep {CONFIG}, as it is" in tree.run(AFFECTD, "install")
    assert tree.path(CONFIG).read_text() == "node: kitchen\n"


def test_the_unit_of_another_affectd_is_replaced(tree: Tree) -> None:
    add_affectd(tree, "/opt/older")
    tree.run("/opt/older/bin/affectd", "install")
    tree.run(AFFECTD, "install")
    assert f"\nExecStart={AFFECTD} run" in tree.path(UNIT).read_text()
    assert "/opt/older" not in tree.path(UNIT).read_text()


def test_a_unit_that_was_edited_is_kept_and_drop_ins_are_recommended(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    edited = tree.path(UNIT).read_text() + "# mine\n"
    tree.write(UNIT, edited)
    told = refused(tree, AFFECTD, "install")
    assert f"{UNIT} is not as `affectd install` wrote it" in told
    assert "`sudo systemctl edit affectd`" in told
    assert tree.path(UNIT).read_text() == edited


def test_a_unit_that_was_edited_is_renamed_by_uninstall(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    tree.write(UNIT, tree.path(UNIT).read_text() + "# mine\n")
    tree.run(AFFECTD, "uninstall")
    assert not tree.path(UNIT).exists()
    assert tree.path(f"{UNIT}.edited").read_text().endswith("# mine\n")


def test_drop_ins_outlive_both(tree: Tree) -> None:
    drop_in = f"{UNIT}.d/override.conf"
    tree.write(drop_in, "[Service]\nRestartSec=50\n")
    for word in ("install", "uninstall", "install"):
        tree.run(AFFECTD, word)
    assert tree.path(drop_in).read_text() == "[Service]\nRestartSec=50\n"


def test_a_path_with_odd_characters_is_quoted_as_systemd_wants_it(tree: Tree) -> None:
    add_affectd(tree, "/opt/100% ours; yes")
    tree.run("/opt/100% ours; yes/bin/python", "-m", "affectd.daemon", "install")
    checked = tree.ask("systemd-analyze", "verify", "--recursive-errors=yes", UNIT)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_path_that_systemd_takes_in_no_way_is_refused(tree: Tree) -> None:
    add_affectd(tree, "/opt/'ours'")
    told = refused(tree, "/opt/'ours'/bin/python", "-m", "affectd.daemon", "install")
    assert "install affectd in another folder" in told


@pytest.mark.parametrize(
    ("folder", "remedy"),
    [
        ("/home/anna/.local/share/pipx/venvs/affectd", "PIPX_HOME=/opt/pipx"),
        ("/root/.local/share/uv/tools/affectd", "UV_TOOL_DIR=/opt/uv"),
        ("/home/anna/affectd/.venv", "sudo python3 -m venv /opt/affectd"),
        ("/srv/affectd", "sudo python3 -m venv /opt/affectd"),
    ],
)
def test_an_affectd_that_the_sandbox_hides_is_refused_with_the_remedy(
    folder: str, remedy: str, tree: Tree
) -> None:
    add_affectd(tree, folder)
    told = refused(tree, f"{folder}/bin/affectd", "install")
    assert "is not below /usr or /opt" in told
    assert remedy in told
    assert "`affectd install --user`" in told


def test_an_affectd_that_others_may_not_enter_is_refused(tree: Tree) -> None:
    tree.path("/opt/affectd").chmod(0o700)
    told = refused(tree, AFFECTD, "install")
    assert "as the mode of /opt/affectd forbids that" in told


def test_a_python_that_the_sandbox_hides_is_refused(tree: Tree) -> None:
    add_affectd(tree, "/opt/affectd", python="/root/python")
    assert "/root/python is not below /usr or /opt" in refused(tree, AFFECTD, "install")


def test_a_service_of_the_machine_needs_root(tree: Tree) -> None:
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=/")
    for word in ("install", "uninstall"):
        told = refused(tree, *nobody, AFFECTD, word)
        assert f"needs root: run `sudo {AFFECTD} {word}`" in told


def test_a_machine_without_systemd_is_told(tree: Tree) -> None:
    told = refused(tree, "env", "PATH=/nowhere", AFFECTD, "install")
    assert "this machine has no systemd" in told


def test_a_service_that_a_package_brought_is_left_to_it(tree: Tree) -> None:
    tree.write("/lib/systemd/system/affectd.service", "[Service]\nExecStart=/usr/bin/affectd run\n")
    for word in ("install", "uninstall"):
        assert "`sudo apt remove affectd`" in refused(tree, AFFECTD, word)


def test_a_unit_that_goes_before_a_packages_one_is_left_to_systemctl(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    tree.write("/lib/systemd/system/affectd.service", "[Service]\nExecStart=/usr/bin/affectd run\n")
    for words in (["install"], ["uninstall"], ["uninstall", "--purge", "--yes"]):
        told = refused(tree, AFFECTD, *words)
        assert f"{UNIT} goes before it until `sudo systemctl revert affectd`" in told


def test_a_service_whose_unit_was_removed_by_hand_is_ended_all_the_same(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    tree.path(UNIT).unlink()
    assert f"remove {ENABLED}\n" in tree.run(AFFECTD, "uninstall")
    assert not tree.path(ENABLED).is_symlink()


def test_a_purge_keeps_what_a_link_leads_to(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    tree.write("/mnt/journal.sqlite", "mine")
    tree.path("/var/lib/affectd").symlink_to("/mnt")
    told = tree.run(AFFECTD, "uninstall", "--purge", "--yes")
    assert "remove /var/lib/affectd, and keep what it leads to\n" in told
    assert not tree.path("/var/lib/affectd").is_symlink()
    assert tree.path("/mnt/journal.sqlite").read_text() == "mine"
    assert tree.ask("id", "affectd").returncode == 1


def test_uninstall_keeps_what_people_wrote_and_affectd_learnt(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    kept = [
        "/etc/affectd/mqtt_password",
        "/var/lib/affectd/journal.sqlite",
        "/var/log/affectd/readings.jsonl",
    ]
    for path in kept:
        tree.write(path, "mine")
    told = tree.run(AFFECTD, "uninstall")
    assert not tree.path(UNIT).exists()
    assert not tree.path(ENABLED).is_symlink()
    assert all(tree.path(path).read_text() == "mine" for path in [*kept])
    assert tree.path(CONFIG).exists()
    assert tree.run("id", "-u", "affectd").strip().isdecimal()
    assert {"keep /etc/affectd", "keep /var/lib/affectd", "keep the user affectd"} <= set(
        told.splitlines()
    )
    before = seen(tree)
    assert "the service is not installed" in tree.run(AFFECTD, "uninstall")
    assert seen(tree) == before


def test_a_purge_leaves_nothing(tree: Tree) -> None:
    before = names(tree)
    tree.run(AFFECTD, "install")
    tree.write("/var/lib/affectd/journal.sqlite", "mine")
    tree.write(f"{UNIT}.d/override.conf", "[Service]\nRestartSec=50\n")
    told = tree.run(AFFECTD, "uninstall", "--purge", "--yes")
    assert "remove /var/lib/affectd (1 file(s), 0.0 MB)\n" in told
    assert names(tree) == before
    assert tree.ask("id", "affectd").returncode == 1
    assert "the service is not installed" in tree.run(AFFECTD, "uninstall", "--purge", "--yes")


def test_a_purge_asks_first(tree: Tree) -> None:
    tree.run(AFFECTD, "install")
    before = seen(tree)
    done = tree.ask(AFFECTD, "uninstall", "--purge")
    assert (done.returncode, seen(tree)) == (2, before)
    assert "say --yes" in done.stderr
    asked = (
        f'script --quiet --echo never --return --command "{AFFECTD} uninstall --purge" /dev/null'
    )
    told = tree.run("sh", "-c", f"echo n | {asked}")
    assert re.search(
        r"would remove /etc/affectd .*Do all of this\? .*nothing was removed", told, re.S
    )
    assert seen(tree) == before
    tree.run("sh", "-c", f"echo y | {asked}")
    assert not tree.path(CONFIG).exists()


def test_a_user_has_a_service_without_root(tree: Tree) -> None:
    tree.run("useradd", "--create-home", "anna")
    anna = ("setpriv", "--reuid=anna", "--regid=anna", "--clear-groups", "env", "HOME=/home/anna")
    folder = "/home/anna/.local/share/pipx/venvs/affectd"
    add_affectd(tree, folder)
    affectd, home = f"{folder}/bin/affectd", "/home/anna/.config"
    before = names(tree)
    tree.run(*anna, affectd, "install", "--user")
    unit = tree.path(f"{home}/systemd/user/affectd.service")
    assert f"\nExecStart={affectd} run\n" in unit.read_text()
    assert tree.path(f"{home}/systemd/user/default.target.wants/affectd.service").is_symlink()
    assert tree.run("stat", "--format=%U", f"{home}/affectd/affectd.yaml") == "anna\n"
    told = tree.run(*anna, affectd, "install", "--user")
    assert told.endswith("nothing was to do: the service is installed\n")
    other = tree.path("/home/anna/.state/affectd/voice-home.json")
    tree.write("/home/anna/.state/affectd/voice-home.json", "of what is run by hand")
    tree.write("/home/anna/.local/state/affectd/voice-home.json", "of the service")
    tree.run("chown", "-R", "anna:", "/home/anna/.state", "/home/anna/.local/state")
    elsewhere = ("XDG_STATE_HOME=/home/anna/.state", affectd, "uninstall", "--user")
    tree.run(*anna, *elsewhere, "--purge", "--yes")
    assert other.exists()
    tree.run("rm", "-r", "/home/anna/.state", "/home/anna/.local/state")
    left = {home, f"{home}/systemd", f"{home}/systemd/user"}
    assert names(tree) - before == left


def test_sudo_is_not_meant_where_the_users_service_is(tree: Tree) -> None:
    told = refused(tree, AFFECTD, "install", "--user", SUDO_USER="anna")
    assert "would be about root's service, not that of anna" in told


def test_the_version_that_is_installed_is_this_one(tree: Tree) -> None:
    assert tree.run(AFFECTD, "--version") == f"affectd {__version__}\n"
