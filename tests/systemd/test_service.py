"""affectd as systemd runs it, with the unit as it stands."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import Listener, Mosquitto
from tests.systemd.conftest import LOGIN, PASSWORD, UNIT, Household

pytestmark = pytest.mark.slow

DROP_IN = f"/etc/systemd/system/{UNIT}.d/test.conf"
OWN = ("var/lib/affectd", "var/log/affectd", "run/affectd", "run/credentials/affectd.service")
SYSTEMDS = ("var/log/journal", "var/tmp")  # the latter by PrivateTmp
MINUTE_S = 60.0
Trace = tuple[int, int, int, int]  # mode, owner, size, time of change in ns


def published(listener: Listener, name: str) -> list[bytes]:
    return listener.on(f"affectd/kitchen/{name}")


def trace(path: Path) -> Trace:
    found = path.lstat()
    return found.st_mode, found.st_uid, found.st_size, found.st_ctime_ns


def writes(folder: Path) -> Iterator[tuple[str, Trace]]:
    """All that is below a folder, and what a change of it would change."""
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            found = Path(path, name)
            yield str(found.relative_to(folder)), trace(found)


def test_status_tells_what_is_heard(household: Household) -> None:
    household.start()
    told = household.status()
    assert "Active: active (running)" in told
    assert 'Status: "listening default, ALSA' in told


def test_a_voice_becomes_a_reading_and_a_mood(
    household: Household, listener: Listener, clip: NDArray[np.int16]
) -> None:
    household.start()
    household.wait_for(lambda: b"online" in published(listener, "status"), "it is online")
    household.sound.play(clip)
    household.wait_for(lambda: published(listener, "utterance"), "a reading arrives")
    household.wait_for(lambda: published(listener, "mood"), "a mood arrives")
    assert json.loads(published(listener, "utterance")[-1])["node"] == "kitchen"
    assert json.loads(published(listener, "mood")[-1])["node"] == "kitchen"


def test_a_service_that_hangs_is_restarted(household: Household, listener: Listener) -> None:
    household.machine.write(DROP_IN, "[Service]\nWatchdogSec=6\nTimeoutStopSec=2\nRestartSec=1\n")
    household.systemctl("daemon-reload")
    household.start()
    household.systemctl("kill", "--signal=STOP", UNIT)
    household.wait_for(lambda: household.show("NRestarts") == "1", "it is restarted")
    household.wait_for(lambda: "listening" in household.show("StatusText"), "it listens again")
    household.wait_for(
        lambda: published(listener, "status")[-3:] == [b"online", b"offline", b"online"],
        "the broker has told that it was away",
    )
    assert "Watchdog timeout" in household.machine.journal(UNIT)


def test_reload_makes_it_read_its_configuration_without_a_restart(
    household: Household, listener: Listener
) -> None:
    household.start()
    before = household.show("MainPID")
    household.configure(node="cellar")
    assert household.systemctl("reload", UNIT).returncode == 0
    household.wait_for(
        lambda: b"online" in listener.on("affectd/cellar/status"), "it has the new name"
    )
    assert (household.show("MainPID"), household.show("ActiveState")) == (before, "active")


def test_it_says_goodbye_when_it_is_stopped(household: Household, listener: Listener) -> None:
    household.start()
    household.wait_for(lambda: b"online" in published(listener, "status"), "it is online")
    began = time.monotonic()
    household.systemctl("stop", UNIT)
    took_s = time.monotonic() - began
    household.wait_for(lambda: published(listener, "status")[-1] == b"offline", "it is offline")
    assert (household.show("Result"), household.show("ExecMainStatus")) == ("success", "0")
    assert took_s < 15, "it was killed"


def test_a_wrong_configuration_is_told_and_not_tried_again(household: Household) -> None:
    household.configure("nodee: kitchen\n")
    assert household.systemctl("start", UNIT).returncode != 0
    assert household.show("ExecMainStatus") == "2"
    assert (household.show("SubState"), household.show("NRestarts")) == ("failed", "0")
    assert "nodee" in household.said()[-1]["MESSAGE"]


def test_the_password_is_for_the_service_alone(household: Household) -> None:
    household.start()  # the broker refuses whoever does not know it
    machine, pid = household.machine, household.show("MainPID")
    handed = f"/proc/{pid}/root/run/credentials/{UNIT}/mqtt_password"
    assert machine.run("cat", handed).strip() == LOGIN["password"]
    for user, path in (("affectd", PASSWORD), ("nobody", PASSWORD), ("nobody", handed)):
        refused = machine.ask("runuser", "--user", user, "--", "cat", path)
        assert "Permission denied" in refused.stderr, (user, path)
    assert LOGIN["password"] not in machine.run("cat", f"/proc/{pid}/environ")
    assert LOGIN["password"] not in machine.journal(UNIT)


def test_no_password_is_needed_where_the_broker_wants_none(
    household: Household, mosquitto: Mosquitto
) -> None:
    (household.machine.root / PASSWORD.lstrip("/")).unlink()
    household.configure(mqtt={"host": "127.0.0.1", "port": mosquitto.port})
    anyone = Listener(mosquitto.port)
    household.start()
    household.wait_for(lambda: published(anyone, "status") == [b"online"], "it is online")
    anyone.close()


def test_it_writes_to_its_own_folders_alone(
    household: Household, listener: Listener, clip: NDArray[np.int16]
) -> None:
    household.start()  # so that all folders that are made at a start are there
    household.systemctl("stop", UNIT)
    machine, user = household.machine, int(household.user)
    before = dict(writes(machine.written))
    household.start()
    household.sound.play(clip)
    household.wait_for(lambda: published(listener, "utterance"), "a reading arrives")
    household.systemctl("stop", UNIT)
    changed = {path for path, found in writes(machine.written) if before.get(path) != found}
    ours = {path for path in changed if path.startswith(OWN)}
    assert "var/lib/affectd/journal.sqlite" in ours
    assert {path for path in changed - ours if not path.startswith(SYSTEMDS)} == set()
    for place in ("dev", "run", "tmp"):
        left = (
            f"{place}/{path}" for path, found in writes(machine.root / place) if found[1] == user
        )
        assert [path for path in left if not path.startswith(OWN)] == []


def test_the_journal_tells_of_whom_each_line_is(household: Household) -> None:
    household.start()
    (line,) = [one for one in household.said() if "connected to the MQTT broker" in one["MESSAGE"]][
        -1:
    ]
    assert line["_SYSTEMD_UNIT"] == UNIT
    assert line["SYSLOG_IDENTIFIER"] == "affectd"
    assert line["_PID"] == household.show("MainPID")
    assert int(line["PRIORITY"]) == 6


def test_a_minute_of_talk_takes_little_of_the_machine(
    household: Household, listener: Listener, speech: NDArray[np.int16]
) -> None:
    household.start()
    household.wait_for(lambda: b"online" in published(listener, "status"), "it is online")
    household.sound.play(np.tile(speech, 2)[: round(MINUTE_S * 16_000)])
    began, before_ns = time.monotonic(), int(household.show("CPUUsageNSec"))
    household.wait_for(lambda: time.monotonic() - began >= MINUTE_S, "the minute is over")
    share = (int(household.show("CPUUsageNSec")) - before_ns) / 1e9 / (time.monotonic() - began)
    used = household.used()
    print(
        f"{len(published(listener, 'utterance'))} readings in a minute: {share:.1%} of a core, "
        f"memory {used['Pss'] / 1e6:.0f} MB, at most {used['VmHWM'] / 1e6:.0f} MB, "
        f"{used['Threads']} threads"
    )
    assert len(published(listener, "utterance")) > 5
    assert share < 0.5
    assert used["VmHWM"] < int(household.show("MemoryHigh"))
