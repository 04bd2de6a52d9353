"""Where a sound lies among bytes, in whatever form its samples have there."""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

WORD: Final = 4  # samples that are looked up at once
HASH: Final = 22  # bits of a hash of a word
LOUD: Final = 100  # of 32768: words with a quieter sample may be in any table
CHUNK: Final = 1 << 20  # bytes of memory that are read at once
TEXT: Final = re.compile(rb"[0-9A-Za-z+/_-]{64,}")  # may be bytes in base64 or hexadecimal
HEXADECIMAL: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}){32,}")


class Sound:
    """Samples that can be told from all others."""

    def __init__(self, samples: NDArray[np.int16]) -> None:
        """samples: shape (n,), as a microphone delivered them."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, WORD)
        places = np.flatnonzero((np.abs(windows.astype(np.int32)) >= LOUD).all(axis=1))
        words = np.ascontiguousarray(windows[places]).view(np.uint64)[:, 0]
        self._words, first = np.unique(words, return_index=True)
        self._places = places[first]
        self._may_be = np.zeros(1 << HASH, np.bool_)  # whether a word with this hash is known
        self._may_be[_hash(words)] = True

    def forms_in(self, data: bytes, aligned: bool = False) -> Counter[str]:
        """How many of its samples lie in the bytes, by the form they have.

        aligned: look only where numbers lie in memory, at multiples of their size; else look from
        each byte on, and into what is written as text. Fewer than 3 * WORD - 1 samples in a row may
        go unseen. Smooth samples are found in the other byte order as well, shifted by a byte.
        """
        counts: Counter[str] = Counter()
        for form, samples in _forms(data, aligned):
            counts[form] += self._count(samples)
        return +counts

    def _count(self, samples: NDArray[np.int16]) -> int:
        """Samples in words that are followed here by what follows them in the sound."""
        words = samples[: samples.size - samples.size % WORD].view(np.uint64)
        maybe = np.flatnonzero(self._may_be[_hash(words)])
        nearest = np.minimum(np.searchsorted(self._words, words[maybe]), self._words.size - 1)
        places = np.full(words.size, -1)
        places[maybe] = np.where(self._words[nearest] == words[maybe], self._places[nearest], -1)
        follows = (places[:-1] >= 0) & (places[1:] == places[:-1] + WORD)
        return WORD * int(follows.sum())


def _hash(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Knuth's multiplicative hash, HASH bits."""
    return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - HASH)


def _forms(data: bytes, aligned: bool) -> Iterator[tuple[str, NDArray[np.int16]]]:
    """The bytes taken for samples, in every form that is known here."""
    yield from _int16(data, aligned)
    for kind in ("float32", "float64"):
        for numbers in _numbers(data, kind, aligned):
            with np.errstate(all="ignore"):
                scaled = numbers * 32768
                is_sample = (np.abs(scaled) <= 32768) & (scaled == np.rint(scaled))
                yield kind, np.where(is_sample, scaled, 0).astype(np.int16)
    if not aligned:
        for encoding, plain in _decoded(data):
            yield from (
                (f"{form} in {encoding}", samples) for form, samples in _int16(plain, False)
            )


def _int16(data: bytes, aligned: bool) -> Iterator[tuple[str, NDArray[np.int16]]]:
    for samples in _numbers(data, "int16", aligned):
        yield "int16", samples
        yield "int16 of the other byte order", samples.byteswap()


def _numbers(data: bytes, kind: str, aligned: bool) -> Iterator[NDArray[Any]]:
    """The bytes as numbers; unless they are aligned also from the second byte on, and so on."""
    size = np.dtype(kind).itemsize
    for start in range(min(1 if aligned else size, len(data))):
        yield np.frombuffer(data, kind, (len(data) - start) // size, start)


def _decoded(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What is written in the bytes as text."""
    for text in TEXT.findall(data):
        for start in range(4):
            group = text[start:].translate(bytes.maketrans(b"-_", b"+/"))
            yield "base64", base64.b64decode(group[: len(group) - len(group) % 4])
    for text in HEXADECIMAL.findall(data):
        yield "hexadecimal", bytes.fromhex(text.decode())


def memory(pid: int, shared: bool = False) -> Iterator[tuple[str, bytes]]:
    """What a process holds in memory that it may write: mapping and bytes, CHUNK at a time.

    shared: only what others may see, too. Zeros at the end of a chunk are left out. As root.
    """
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for mapping in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = mapping.split()[:2]
            if "w" not in rights or (shared and "s" not in rights):
                continue
            start, end = (int(address, 16) for address in span.split("-"))
            for at in range(start, end, CHUNK):
                file.seek(at)
                if held := file.read(min(CHUNK, end - at)).rstrip(b"\0"):
                    yield mapping, held
