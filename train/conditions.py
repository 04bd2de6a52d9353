"""Virtual voices: how a speaker would sound with another voice, in another room, in noise."""

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from affectd.daemon.capture.recording import Recording
from affectd.daemon.speech.mfcc import INT16_SCALE
from affectd.daemon.speech.vad import RATE_HZ

SPEEDS: Final = (0.85, 1.18)  # also the factor of pitch and formants
SNRS_DB: Final = (3.0, 30.0)
GAIN_STD_DB: Final = 5.0
ROOM_SHARE: Final = 0.5  # of the virtual voices that are in a room
NOISE_SHARE: Final = 0.5  # of those that are in noise


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Recordings of rooms and noises out of which virtual voices are made."""

    rooms: tuple[Path, ...] = ()  # impulse responses
    noises: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """What happens to every recording of one virtual voice; as recorded by default."""

    speed: float = 1.0  # faster and higher above 1, as a tape
    room: Path | None = None  # impulse response
    noise: Path | None = None
    snr_db: float = 0.0
    gain_db: float = 0.0
    clipped_db: float = 0.0  # how far its peak lies above full scale
    opus_kbps: int = 0  # through Opus at this rate

    def apply(self, samples: NDArray[np.int16], seed: int) -> NDArray[np.int16]:
        """Alter a recording, shape (n,), mono, 16 kHz; seed: chooses which part of the noise."""
        pcm = samples * INT16_SCALE
        if self.speed != 1:
            pcm = np.asarray(soxr.resample(pcm, RATE_HZ * self.speed, RATE_HZ))
        if self.room is not None:
            pcm = oaconvolve(pcm, _impulse_response(self.room))[: pcm.size]
        if self.noise is not None:
            pcm = pcm + _noise(self.noise, pcm, self.snr_db, seed)
        pcm = pcm * 10 ** (self.gain_db / 20)
        if self.clipped_db:
            pcm = pcm / np.abs(pcm).max(initial=1e-9) * 10 ** (self.clipped_db / 20)
        if self.opus_kbps:
            pcm = _through_opus(np.clip(pcm, -1, 1), self.opus_kbps)
        return np.asarray(np.clip(np.round(pcm / INT16_SCALE), -32768, 32767), np.int16)


AS_RECORDED: Final = Condition()


@dataclass(frozen=True, slots=True)
class Voices:
    """The voices that every speaker has: the own one, and virtual ones to learn from."""

    count: int = 1  # the own one included
    around: Surroundings = Surroundings()

    def of(self, speaker: str) -> tuple[Condition, ...]:
        """The conditions of a speaker's voices, as recorded first."""
        drawn = (_drawn(speaker, number, self.around) for number in range(1, self.count))
        return (AS_RECORDED, *drawn)


@dataclass(frozen=True, slots=True)
class Trials:
    """What the networks are put to the test with: every speaker in every one of these."""

    NAMES: ClassVar = (
        "as recorded",
        "household noise, 20 dB",
        "household noise, 10 dB",
        "household noise, 0 dB",
        "in a room",
        "clipped, 12 dB over full scale",
        "gain -30 dB",
        "gain -20 dB",
        "gain -10 dB",
        "gain +10 dB",
        "Opus at 16 kbit/s",
    )
    around: Surroundings

    def of(self, speaker: str) -> tuple[Condition, ...]:
        """The conditions of a speaker, in the order of NAMES; a room and a noise of the own."""
        random = _random(speaker, 0)
        room = _pick(self.around.rooms, random.random())
        noise = _pick(self.around.noises, random.random())
        return (
            AS_RECORDED,
            *(Condition(noise=noise, snr_db=snr_db) for snr_db in (20, 10, 0)),
            Condition(room=room),
            Condition(clipped_db=12),
            *(Condition(gain_db=gain_db) for gain_db in (-30, -20, -10, 10)),
            Condition(opus_kbps=16),
        )


def _random(speaker: str, number: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{speaker} {number}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8]))


def _drawn(speaker: str, number: int, around: Surroundings) -> Condition:
    random = _random(speaker, number)
    low, high = np.log(SPEEDS)
    speed, gain, snr = random.uniform(low, high), random.normal(), random.uniform(*SNRS_DB)
    in_room, in_noise = random.random() < ROOM_SHARE, random.random() < NOISE_SHARE
    room, noise = random.random(), random.random()
    return Condition(
        speed=float(np.exp(speed)),
        room=_pick(around.rooms, room) if in_room else None,
        noise=_pick(around.noises, noise) if in_noise else None,
        snr_db=float(snr),
        gain_db=float(GAIN_STD_DB * gain),
    )


def _pick(paths: tuple[Path, ...], share: float) -> Path | None:
    return paths[int(share * len(paths))] if paths else None


@lru_cache(maxsize=64)
def _impulse_response(path: Path) -> NDArray[np.float32]:
    """Cut to begin with the direct sound, and scaled to keep its level."""
    response = Recording(path).samples() * INT16_SCALE
    direct = int(np.abs(response).argmax())
    response = response[max(0, direct - RATE_HZ // 1000) :]
    return np.asarray(response / np.sqrt((response**2).sum()), np.float32)


@lru_cache(maxsize=64)
def _sound(path: Path) -> NDArray[np.float32]:
    return np.asarray(Recording(path).samples() * INT16_SCALE)


def _noise(
    path: Path, speech: NDArray[np.float32], snr_db: float, seed: int
) -> NDArray[np.float32]:
    """A random part of a noise, as long as the speech and snr_db below its mean power."""
    sound = _sound(path)
    start = np.random.default_rng(seed).integers(sound.size)
    part = np.resize(np.roll(sound, -start), speech.size)
    power, wanted = (part**2).mean(), (speech**2).mean() / 10 ** (snr_db / 10)
    return np.asarray(part * np.sqrt(wanted / max(power, 1e-12)), np.float32)


def _through_opus(pcm: NDArray[np.float32], kbps: int) -> NDArray[np.float32]:
    """Encode and decode; libsndfile's compression level 0 is 256 kbit/s, 1 is 6 kbit/s."""
    file = io.BytesIO()
    level = 1 - (kbps - 6) / 250
    soundfile.write(file, pcm, RATE_HZ, format="OGG", subtype="OPUS", compression_level=level)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])
