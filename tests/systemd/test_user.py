"""The user unit under a person's own systemd, with a sound server in that person's session."""

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import ROOT, Listener, Mosquitto, wait_until
from tests.systemd.conftest import UNIT, Household
from tests.systemd.machine import PATIENCE_S

pytestmark = pytest.mark.slow

PERSON, PERSON_ID = "anna", 1999
HOME, SESSION = f"/home/{PERSON}", f"/run/user/{PERSON_ID}"
MANAGER = f"""\
[Service]
Type=notify
User={PERSON}
Delegate=yes
RuntimeDirectory=user/{PERSON_ID}
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR={SESSION}
ExecStart=/lib/systemd/systemd --user --unit=basic.target
"""


class Person:
    """Somebody who is logged in, with affectd installed for all."""

    def __init__(self, household: Household) -> None:
        self.machine = household.machine
        self.machine.run("useradd", "--create-home", f"--uid={PERSON_ID}", PERSON)
        self.machine.copy(ROOT / "systemd" / "user" / UNIT, f"/etc/systemd/user/{UNIT}")
        self.machine.write("/etc/systemd/system/person.service", MANAGER)
        self.machine.run("systemctl", "daemon-reload")
        # A mount namespace of the system's makes what those of a person's manager need; on a
        # machine where people log in, logind has one.
        self.machine.run("systemd-run", "--wait", "--property", "PrivateTmp=yes", "true")
        self.machine.run("systemctl", "start", "person")

    def run(self, *words: str) -> str:
        """What a command that has to succeed prints in the session."""
        session = ["env", f"XDG_RUNTIME_DIR={SESSION}", f"HOME={HOME}"]
        return self.machine.run("runuser", "--user", PERSON, "--", *session, *words)

    def show(self, key: str) -> str:
        """A property of the person's affectd."""
        return self.run("systemctl", "--user", "show", "--value", "--property", key, UNIT).strip()

    def configure(self, port: int) -> None:
        folder = f"{HOME}/.config/affectd"
        self.run("mkdir", "-p", folder, f"{HOME}/.ssh")
        text = f"node: desk\nmqtt: {{host: 127.0.0.1, port: {port}}}\nemotion: {{bundle: /opt/affectd/bundle}}\n"
        self.machine.write(f"{folder}/affectd.yaml", text)


@pytest.fixture
def person(household: Household) -> Iterator[Person]:
    yield Person(household)
    household.machine.run("systemctl", "stop", "person")
    household.machine.run("userdel", "--remove", PERSON)


@pytest.fixture
def anyone(mosquitto: Mosquitto) -> Iterator[Listener]:
    subscriber = Listener(mosquitto.port)
    yield subscriber
    subscriber.close()


def wait_for(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, PATIENCE_S)


def test_a_persons_affectd_hears_the_sound_server_and_cannot_see_secrets(
    person: Person, mosquitto: Mosquitto, anyone: Listener
) -> None:
    person.configure(mosquitto.port)
    person.run("systemctl", "--user", "start", UNIT)
    wait_for(lambda: "listening default" in person.show("StatusText"), "it hears")
    wait_for(lambda: anyone.on("affectd/desk/status") == [b"online"], "it is online")
    process = f"/proc/{person.show('MainPID')}"
    assert person.machine.run("stat", "--format=%a", f"{process}/root{HOME}/.ssh") == "0\n"
    mounts = [
        line.split()[4:6] for line in person.machine.run("cat", f"{process}/mountinfo").splitlines()
    ]
    writable = {where for where, how in mounts if not how.startswith("ro,")}
    assert {place for place in writable if place.startswith(("/home", "/run/user"))} == {
        f"{HOME}/.local/state/affectd",
        f"{SESSION}/affectd",
    }
    person.run("systemctl", "--user", "stop", UNIT)
    wait_for(lambda: anyone.on("affectd/desk/status")[-1] == b"offline", "it is offline")
    assert person.show("Result") == "success"
    person.run("test", "-e", f"{HOME}/.local/state/affectd/journal.sqlite")
