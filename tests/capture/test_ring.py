import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from affectd.daemon.capture.ring import Ring

blocks = st.lists(st.integers(0, 50), max_size=30)


def counting(start: int, size: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    """Two channels whose samples tell their place."""
    index = np.arange(start, start + size, dtype=np.int16)
    return np.stack([index, -index], axis=1)


@given(capacity=st.integers(1, 40), sizes=blocks)
def test_the_newest_samples_come_in_order_for_any_block_sizes(
    capacity: int, sizes: list[int]
) -> None:
    ring, written = Ring(capacity, 2), 0
    for size in sizes:
        ring.write(counting(written, size))
        written += size
    kept = min(capacity, written)
    np.testing.assert_array_equal(ring.read(), counting(written - kept, kept))
    assert ring.lost == written - kept


@given(capacity=st.integers(1, 40), rounds=st.lists(blocks, max_size=8))
def test_samples_are_read_once_or_counted_as_lost(capacity: int, rounds: list[list[int]]) -> None:
    ring, written, read = Ring(capacity, 2), 0, []
    for sizes in rounds:
        for size in sizes:
            ring.write(counting(written, size))
            written += size
        read.append(ring.read())
    heard = np.concatenate([np.empty((0, 2), np.int16), *read])
    assert len(heard) + ring.lost == written
    assert (np.diff(heard[:, 0]) > 0).all()


@settings(max_examples=25)
@given(
    channels=st.integers(1, 8),
    capacity=st.integers(1, 80_000),
    sizes=st.lists(st.integers(1, 65_536), min_size=1, max_size=8),
)
def test_blocks_of_any_size_and_channels_are_the_newest_of_what_was_written(
    channels: int, capacity: int, sizes: list[int]
) -> None:
    sound = np.random.default_rng(0).integers(-32768, 32768, (sum(sizes), channels), np.int16)
    ring = Ring(capacity, channels)
    for block in np.split(sound, np.cumsum(sizes)):
        ring.write(block)
    np.testing.assert_array_equal(ring.read(), sound[-capacity:])
    assert ring.lost == max(0, len(sound) - capacity)
    assert ring.read().shape == (0, channels)


def test_a_reader_in_another_thread_gets_the_samples_in_order() -> None:
    ring, total = Ring(4_000, 1), 3_000_000
    index = np.arange(total, dtype=np.int32).astype(np.int16)[:, None]

    def write() -> None:
        for start in range(0, total, 160):
            ring.write(index[start : start + 160])

    writer = threading.Thread(target=write)
    writer.start()
    heard, at = 0, 0
    while writer.is_alive() or at < total:
        lost = ring.lost
        block = ring.read()
        at += ring.lost - lost
        np.testing.assert_array_equal(block, index[at : at + len(block)])
        heard, at = heard + len(block), at + len(block)
    writer.join()
    assert heard + ring.lost == total


def test_nothing_is_left_in_a_ring_that_was_cleared() -> None:
    ring = Ring(50, 2)
    for start in (1, 101, 201):
        ring.write(counting(start, 100))
    ring.read()
    ring.write(counting(301, 70))
    ring.clear()
    assert not ring._samples.any()
    assert ring.read().shape == (0, 2)
