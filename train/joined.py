"""Clips joined to one recording, with their own room tone between them.

Between clips there must not be digital silence: beside it the voice activity detector takes the
background of a clip for voice, and no microphone in a room delivers it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.speech.segmenter import Segmenter, SegmenterSpec, Utterance
from affectd.daemon.speech.vad import DEFAULT_MODE, FRAME, RATE_HZ, Vad
from affectd.train.corpora.corpus import CorpusError

LEAD: Final = 20 * FRAME  # samples before the first clip
GAP: Final = 30 * FRAME  # samples after each clip, at least; half of that ends an utterance
QUIET: Final = 0.1  # share of a clip's frames that are its background
BITRATE: Final = 28_000  # bit/s
BITRATES: Final = (6_000, 256_000)  # of libsndfile's compression levels 1 and 0, for one channel


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Clips one after the other, each at the start of a frame."""

    samples: NDArray[np.int16]  # shape (n,), mono, 16 kHz
    spans_s: tuple[tuple[float, float], ...]  # start and end of each clip, seconds

    def fits(self, found: Sequence[Utterance]) -> bool:
        """Whether there is one utterance for each clip, with its middle inside the clip."""
        if len(found) != len(self.spans_s):
            return False
        middles = [(one.start + one.samples.size / 2) / RATE_HZ for one in found]
        return all(
            start < middle < end for middle, (start, end) in zip(middles, self.spans_s, strict=True)
        )


def join(clips: Sequence[NDArray[np.int16]]) -> Joined:
    """Join clips, each of shape (n,), mono, 16 kHz, a frame at least; they stay as they are."""
    sizes = [clip.size + GAP + -clip.size % FRAME for clip in clips]
    starts = LEAD + np.cumsum([0, *sizes])
    samples = np.round(room_tone(clips, int(starts[-1]))).astype(np.int16)
    spans_s = []
    for clip, start in zip(clips, starts[:-1].tolist(), strict=True):
        end = start + clip.size
        samples[start:end] = clip
        spans_s.append((round(start / RATE_HZ, 2), round(end / RATE_HZ, 2)))
    return Joined(samples, tuple(spans_s))


def room_tone(clips: Sequence[NDArray[np.int16]], size: int) -> NDArray[np.float64]:
    """Steady noise, shape (size,), with mean spectrum and power of the clips' quietest frames."""
    quiet = np.concatenate([_quietest(clip) for clip in clips])
    power = (np.abs(np.fft.rfft(quiet * np.hanning(FRAME))) ** 2).mean(axis=0)
    noise = np.fft.rfft(np.random.default_rng(0).standard_normal(size))
    places = np.linspace(0, 1, noise.size), np.linspace(0, 1, power.size)
    tone = np.fft.irfft(noise * np.sqrt(np.interp(*places, power)), size)
    return np.asarray(tone * np.sqrt((quiet**2).mean() / max((tone**2).mean(), 1e-9)))


def _quietest(clip: NDArray[np.int16]) -> NDArray[np.float64]:
    frames = _frames(clip).astype(np.float64)
    order = np.argsort((frames**2).mean(axis=1), kind="stable")
    quietest: NDArray[np.float64] = frames[order[: max(1, round(QUIET * len(frames)))]]
    return quietest


def _frames(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    return samples[: samples.size - samples.size % FRAME].reshape(-1, FRAME)


def utterances(samples: NDArray[np.int16]) -> list[Utterance]:
    """The daemon's utterances in samples, shape (n,), mono, 16 kHz; a partial frame is dropped."""
    vad, segmenter = Vad(DEFAULT_MODE), Segmenter(SegmenterSpec())
    cut = [segmenter.push(frame, vad.is_speech(frame)) for frame in _frames(samples)]
    return [utterance for utterance in (*cut, segmenter.flush()) if utterance is not None]


def is_whole(clip: NDArray[np.int16]) -> bool:
    """Whether the segmenter makes one utterance of a clip, and a pause ends it."""
    joined = join([clip])
    found = utterances(joined.samples)
    return joined.fits(found) and found[0].voiced.size < SegmenterSpec().longest


def write(path: Path, clips: Sequence[NDArray[np.int16]]) -> Joined:
    """Write joined clips in Ogg Opus.

    Raises CorpusError if the segmenter does not make one utterance of each in the written file.
    """
    joined = join(clips)
    lowest, highest = BITRATES
    level = (highest - BITRATE) / (highest - lowest)
    soundfile.write(path, joined.samples, RATE_HZ, "OPUS", format="OGG", compression_level=level)
    found = utterances(Recording(path).samples())
    if not joined.fits(found):
        raise CorpusError(
            f"{path} gives {len(found)} utterances for {len(clips)} clips, and not one in each; "
            f"encode it with more than {BITRATE} bit/s, or give other clips"
        )
    return joined
