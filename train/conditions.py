"""Virtual voices: how a speaker would sound with another voice, room, noise, line or level."""

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
from scipy.signal import butter, oaconvolve, sosfilt

from affectd.daemon.capture.recording import Recording
from affectd.daemon.speech.mfcc import INT16_SCALE
from affectd.daemon.speech.vad import RATE_HZ

SPEEDS: Final = (0.85, 1.18)  # also the factor of pitch and formants
TEMPOS: Final = (0.85, 1.18)  # with pitch and formants as they are
SNRS_DB: Final = (0.0, 30.0)
GAINS_DB: Final = (-40.0, 10.0)
OPUS_KBPS: Final = (8, 32)
TELEPHONE_HZ: Final = (300.0, 3400.0)
MU: Final = 255.0  # of the telephone's logarithmic scale, ITU-T G.711
# Shares of the virtual voices that have another tempo, are in a room, in noise, at another gain,
# and pass through a telephone or through Opus.
TEMPO_SHARE: Final = 0.3
ROOM_SHARE: Final = 0.5
NOISE_SHARE: Final = 0.5
GAIN_SHARE: Final = 0.3
TELEPHONE_SHARE: Final = 0.15
OPUS_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Recordings of rooms and noises out of which virtual voices are made."""

    rooms: tuple[Path, ...] = ()  # impulse responses
    noises: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """What happens to every recording of one virtual voice; as recorded by default."""

    speed: float = 1.0  # faster and higher above 1, as a tape
    tempo: float = 1.0  # faster above 1, as high as before
    room: Path | None = None  # impulse response
    noise: Path | None = None
    snr_db: float = 0.0
    gain_db: float = 0.0
    peak_dbfs: float | None = None  # where its largest sample is put; above 0 it is clipped
    is_telephone: bool = False  # band and logarithmic steps of a telephone
    opus_kbps: int = 0  # through Opus at this rate

    def apply(self, samples: NDArray[np.int16], seed: int) -> NDArray[np.int16]:
        """Alter a recording, shape (n,), mono, 16 kHz; seed: chooses which part of the noise."""
        pcm = samples * INT16_SCALE
        if self.speed != 1:
            pcm = np.asarray(soxr.resample(pcm, RATE_HZ * self.speed, RATE_HZ))
        if self.tempo != 1:
            pcm = _stretched(pcm, self.tempo)
        if self.room is not None:
            pcm = oaconvolve(pcm, _impulse_response(self.room))[: pcm.size]
        if self.noise is not None:
            pcm = pcm + _noise(self.noise, pcm, self.snr_db, seed)
        pcm = pcm * 10 ** (self.gain_db / 20)
        if self.peak_dbfs is not None:
            pcm = pcm / np.abs(pcm).max(initial=1e-9) * 10 ** (self.peak_dbfs / 20)
        if self.is_telephone:
            pcm = _through_telephone(np.clip(pcm, -1, 1))
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
        "gain -20 dB",
        "gain -12 dB",
        "gain -6 dB",
        "peak at -40 dBFS",
        "peak at -20 dBFS",
        "peak at 0 dBFS",
        "Opus at 16 kbit/s",
        "telephone",
    )
    GAINS: ClassVar = (0, 6, 7, 8)  # numbers of those that differ from the first by gain alone
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
            Condition(peak_dbfs=12),
            *(Condition(gain_db=gain_db) for gain_db in (-20, -12, -6)),
            *(Condition(peak_dbfs=peak_dbfs) for peak_dbfs in (-40, -20, 0)),
            Condition(opus_kbps=16),
            Condition(is_telephone=True),
        )


def _random(speaker: str, number: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{speaker} {number}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8]))


def _drawn(speaker: str, number: int, around: Surroundings) -> Condition:
    random = _random(speaker, number)

    def sometimes(share: float) -> bool:
        return bool(random.random() < share)

    def factor(bounds: tuple[float, float]) -> float:
        return float(np.exp(random.uniform(*np.log(bounds))))

    return Condition(
        speed=factor(SPEEDS),
        tempo=factor(TEMPOS) if sometimes(TEMPO_SHARE) else 1.0,
        room=_pick(around.rooms, random.random()) if sometimes(ROOM_SHARE) else None,
        noise=_pick(around.noises, random.random()) if sometimes(NOISE_SHARE) else None,
        snr_db=float(random.uniform(*SNRS_DB)),
        gain_db=float(random.uniform(*GAINS_DB)) if sometimes(GAIN_SHARE) else 0.0,
        is_telephone=sometimes(TELEPHONE_SHARE),
        opus_kbps=int(random.integers(*OPUS_KBPS)) if sometimes(OPUS_SHARE) else 0,
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


def _stretched(pcm: NDArray[np.float32], tempo: float) -> NDArray[np.float32]:
    """Another tempo by a phase vocoder."""
    from librosa.effects import time_stretch

    return np.asarray(time_stretch(pcm, rate=tempo, n_fft=1024), np.float32)


def _through_telephone(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Band of a telephone and 8 bits a sample on a logarithmic scale. Source: ITU-T G.711."""
    band = sosfilt(butter(4, TELEPHONE_HZ, "bandpass", fs=RATE_HZ, output="sos"), pcm)
    scaled = np.sign(band) * np.log1p(MU * np.abs(np.clip(band, -1, 1))) / np.log1p(MU)
    steps = np.round(scaled * 127) / 127
    return np.asarray(np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(MU)) / MU, np.float32)


def _through_opus(pcm: NDArray[np.float32], kbps: int) -> NDArray[np.float32]:
    """Encode and decode; libsndfile's compression level 0 is 256 kbit/s, 1 is 6 kbit/s."""
    file = io.BytesIO()
    level = 1 - (kbps - 6) / 250
    soundfile.write(file, pcm, RATE_HZ, format="OGG", subtype="OPUS", compression_level=level)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])
