"""Rooms that were never built: impulse responses of boxes, by the image source method."""

from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from tqdm.auto import tqdm

from affectd.daemon.speech.vad import RATE_HZ
from affectd.train.stored import replacing

COUNT: Final = 120
SIDES_M: Final = ((2.0, 8.0), (2.0, 7.0), (2.3, 3.5))  # length, width, height
RT60_S: Final = (0.15, 0.9)
WALL_M: Final = 0.3  # source and microphone keep away from walls
LONGEST_S: Final = 1.0


def synthesise(folder: Path, count: int = COUNT, seed: int = 0) -> tuple[Path, ...]:
    """Write impulse responses of random rooms into a folder, and return the files.

    Those that are there already are kept, as each depends on its number and the seed alone.
    Source: Allen & Berkley (1979), by pyroomacoustics (Scheibler et al., 2018).
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"box{seed}_{number:03}.flac" for number in range(count)]
    missing = [(number, path) for number, path in enumerate(paths) if not path.exists()]
    for number, path in tqdm(missing, desc="rooms", unit="room", disable=not missing):
        _write(path, np.random.default_rng([seed, number]))
    return tuple(paths)


def _write(path: Path, random: np.random.Generator) -> None:
    import pyroomacoustics as acoustics

    sides = [random.uniform(*bounds) for bounds in SIDES_M]
    absorption, order = _walls(random.uniform(*RT60_S), sides)
    room = acoustics.ShoeBox(
        sides, fs=RATE_HZ, materials=acoustics.Material(absorption), max_order=min(order, 40)
    )
    room.add_source([random.uniform(WALL_M, side - WALL_M) for side in sides])
    room.add_microphone([random.uniform(WALL_M, side - WALL_M) for side in sides])
    room.compute_rir()
    response = room.rir[0][0][: int(LONGEST_S * RATE_HZ)]
    with replacing(path) as unfinished:
        scaled = response / np.abs(response).max() * 0.9
        soundfile.write(unfinished, scaled, RATE_HZ, format="FLAC")


def _walls(rt60_s: float, sides: list[float]) -> tuple[float, int]:
    """Absorption and order of reflections; a large room cannot be as dead as a small one."""
    import pyroomacoustics as acoustics

    while True:
        try:
            absorption, order = acoustics.inverse_sabine(rt60_s, sides)
            return float(absorption), int(order)
        except ValueError:
            rt60_s *= 1.3
