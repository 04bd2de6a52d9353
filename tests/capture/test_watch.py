from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.capture.watch import Watch

RATE_HZ = 16_000


def fed(blocks: Iterable[tuple[float, int]], rate_hz: int = RATE_HZ) -> str | None:
    """The first complaint about blocks of sound, (seconds, samples), of a stream opened at 0."""
    watch = Watch(rate_hz, 0.0)
    for now_s, samples in blocks:
        if (reason := watch.push(now_s, samples, is_still=False)) is not None:
            return reason
    return None


def steady(
    seconds: float, rate_hz: float = RATE_HZ, since_s: float = 0.0
) -> list[tuple[float, int]]:
    """Blocks of 30 ms, as a device of a rate delivers them."""
    count = int(seconds / 0.03)
    return [(since_s + 0.03 * n, round(0.03 * rate_hz)) for n in range(1, count + 1)]


def test_a_steady_stream_is_fine() -> None:
    assert fed(steady(120)) is None


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_clock_that_drifts_is_no_gap_and_is_told(ppm: int) -> None:
    watch = Watch(RATE_HZ, 0.0)
    for second in range(1, 4 * 3600):
        samples = round(RATE_HZ * second * (1 + ppm / 1e6)) - round(
            RATE_HZ * (second - 1) * (1 + ppm / 1e6)
        )
        assert watch.push(float(second), samples, is_still=False) is None
    assert watch.drift_ppm == pytest.approx(ppm, abs=5)


def test_a_stream_that_never_delivers_is_dead_after_five_seconds() -> None:
    assert fed((t, 0) for t in (1.0, 4.9)) is None
    assert fed((t, 0) for t in (1.0, 5.0)) == "it has delivered nothing within 5 s"


def test_a_stream_that_stops_is_dead_after_two_seconds() -> None:
    assert fed([*steady(3), (4.9, 0)]) is None
    assert fed([*steady(3), (5.1, 0)]) == "it has delivered nothing for 2 s"


def test_sound_that_comes_late_but_whole_is_no_gap() -> None:
    assert fed([*steady(3), (4.5, 24_000), *steady(60, since_s=4.5)]) is None


def test_sound_that_is_missing_is_a_gap() -> None:
    reason = fed([*steady(3), *steady(3, since_s=4.5)])
    assert reason == "1.5 s are missing; what follows may be of another device"


@pytest.mark.parametrize("rate_hz", [8_000, 14_700, 15_400, 16_600, 17_640])
def test_another_rate_than_was_asked_for_is_noticed_and_no_gap(rate_hz: int) -> None:
    watch = Watch(RATE_HZ, 0.0)
    said = [watch.push(now_s, count, is_still=False) for now_s, count in steady(60, rate_hz)]
    reason = next(reason for reason in said if reason is not None)
    assert watch.is_strange
    assert float(reason.split()[2]) == pytest.approx(rate_hz, rel=0.01)


def test_zeros_alone_are_silence_and_any_sound_ends_it() -> None:
    watch = Watch(RATE_HZ, 0.0)
    for now_s, samples in steady(11):
        watch.push(now_s, samples, is_still=True)
    assert watch.is_mute
    watch.push(11.03, 480, is_still=False)
    assert not watch.is_mute


@given(st.lists(st.floats(0.001, 0.4), min_size=1, max_size=200))
def test_a_device_in_time_is_never_complained_of_however_its_blocks_arrive(
    pauses: list[float],
) -> None:
    now_s, sent, blocks = 0.0, 0, []
    for pause in pauses:
        now_s += pause
        blocks.append((now_s, round(now_s * RATE_HZ) - sent))
        sent = round(now_s * RATE_HZ)
    assert fed(blocks) is None
