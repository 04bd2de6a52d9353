import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from affectd.daemon import supervisor
from affectd.daemon.capture.source import Hearing
from affectd.daemon.supervisor import Supervisor
from tests.conftest import SoundServer, wait_until
from tests.test_end_to_end import Running


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


def told(systemd: socket.socket) -> list[str]:
    lines = []
    while True:
        try:
            lines += systemd.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


def of(systemd: socket.socket, **more: str) -> Supervisor:
    return Supervisor({"NOTIFY_SOCKET": systemd.getsockname(), **more}, ["home"])


def test_the_service_is_ready_when_it_hears(systemd: socket.socket) -> None:
    tells = of(systemd)
    tells.turn("home", Hearing("opening", device="mic"))
    assert told(systemd) == ["STATUS=opening mic"]
    tells.turn("home", Hearing("listening", device="mic"))
    assert told(systemd) == ["READY=1", "STATUS=listening mic"]
    tells.turn("home", Hearing("listening", device="mic"))
    assert told(systemd) == []


def test_a_service_without_a_microphone_is_ready_after_a_grace(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_S", 0.0)
    of(systemd).turn("home", Hearing("lost", "no microphone was found", "mic"))
    assert told(systemd) == ["READY=1", "STATUS=lost mic no microphone was found"]


def test_it_is_alive_with_each_turn_but_not_told_more_often_than_is_wanted(
    systemd: socket.socket,
) -> None:
    tells = of(systemd, WATCHDOG_USEC="30000000")
    for _ in range(3):
        tells.turn("home", Hearing("listening"))
    assert told(systemd).count("WATCHDOG=1") == 1


def test_it_is_alive_only_if_every_node_has_taken_a_turn(systemd: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "1"}
    tells = Supervisor(environment, ["kitchen", "study"])
    for _ in range(3):
        tells.turn("kitchen", Hearing("listening", device="a"))
    assert told(systemd) == ["STATUS=kitchen: listening a"]
    tells.turn("study", Hearing("listening", device="b"))
    assert set(told(systemd)) == {
        "READY=1",
        "WATCHDOG=1",
        "STATUS=kitchen: listening a; study: listening b",
    }
    tells.turn("study", Hearing("listening", device="b"))
    assert told(systemd) == []


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
def test_a_watchdog_that_is_not_for_this_process_is_not_fed(
    systemd: socket.socket, more: dict[str, str]
) -> None:
    of(systemd, **more).turn("home", Hearing("listening"))
    assert "WATCHDOG=1" not in told(systemd)


def test_other_nodes_are_ready_when_they_hear(systemd: socket.socket) -> None:
    tells = of(systemd)
    tells.turn("home", Hearing("listening", device="mic"))
    tells.reloading()
    tells.follow(["kitchen", "study"])
    tells.turn("kitchen", Hearing("listening", device="a"))
    told_first = told(systemd)
    assert told_first.count("READY=1") == told_first.count("RELOADING=1") == 1
    tells.turn("study", Hearing("listening", device="b"))
    assert "READY=1" in told(systemd)


def test_nodes_that_go_on_as_they_were_are_ready_at_once_if_they_were(
    systemd: socket.socket,
) -> None:
    tells = of(systemd)
    tells.reloading()
    tells.reloaded()
    assert "READY=1" not in told(systemd)
    tells.turn("home", Hearing("listening", device="mic"))
    tells.reloading()
    tells.reloaded()
    assert [line for line in told(systemd) if "READY" in line or "RELOADING" in line] == [
        "READY=1",
        "RELOADING=1",
        "READY=1",
    ]


@pytest.mark.parametrize(("more", "count"), [({}, 0), ({"WATCHDOG_USEC": "30000000"}, 3)])
def test_the_watchdog_is_fed_while_nodes_end_and_others_begin(
    systemd: socket.socket, more: dict[str, str], count: int
) -> None:
    tells = of(systemd, **more)
    tells.reloading()
    tells.alive()
    tells.follow(["kitchen"])
    assert told(systemd).count("WATCHDOG=1") == count


def test_without_systemd_nothing_is_told_and_nothing_fails(tmp_path: Path) -> None:
    Supervisor({}, ["home"]).turn("home", Hearing("listening"))
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "none")}, ["home"]).turn(
        "home", Hearing("listening")
    )


def test_a_running_service_tells_systemd_when_it_hears_and_while_it_lives(
    sound_server: SoundServer, systemd: socket.socket, tmp_path: Path
) -> None:
    sound_server.environment |= {
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "300000",
        "XDG_STATE_HOME": str(tmp_path),
    }
    service = Running(sound_server, tmp_path)
    try:
        wait_until(sound_server.recordings, "the microphone is open")
        assert "READY=1" not in told(systemd)
        sound_server.play(np.zeros(480, np.int16))
        wait_until(lambda: "READY=1" in told(systemd), "it is ready")
        wait_until(lambda: "WATCHDOG=1" in told(systemd), "it is alive")
        sound_server.unplug()
        wait_until(lambda: any("lost" in line for line in told(systemd)), "it tells the loss")
    finally:
        service.process.kill()
        service.process.wait()
