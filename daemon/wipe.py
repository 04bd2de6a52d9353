"""Freed memory does not keep what it held: allocators would leave it until it is used again."""

import ctypes
import logging
from typing import Final

import numpy as np

logger = logging.getLogger(__name__)

M_PERTURB: Final = -6  # mallopt(3), glibc: the byte that freed memory is overwritten with
PATTERN: Final = 0xA5
# Freed blocks are kept as they are: 7 of each size by NumPy, up to 1023 bytes, and by glibc 7 of
# each 16 sizes for each thread, up to 1032 bytes. Source: NumPy's alloc.c, glibc's malloc.c.
LARGEST_KEPT: Final = 1_040  # bytes
KEPT: Final = 8  # one more of each size than NumPy has, so that glibc gives all of its own, too


def overwrite_what_is_freed() -> None:
    """From now on have malloc overwrite what is freed; where it is not glibc's, that is told."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not mallopt(M_PERTURB, PATTERN):
        logger.warning("freed memory is not overwritten, as this is not glibc")


def wipe_kept_blocks() -> None:
    """Overwrite the small blocks that NumPy and this thread have freed but not given back."""
    sizes = range(1, LARGEST_KEPT // 2)
    blocks = [np.ones(size, np.int16) for size in sizes for _ in range(KEPT)]
    blocks.clear()
