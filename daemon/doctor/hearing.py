"""What a microphone delivered in a few seconds, in figures, and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.doctor.finding import Problem
from affectd.daemon.speech.level import clipped_share, level_dbfs, levels_dbfs
from affectd.daemon.speech.segmenter import SegmenterSpec, Utterance
from affectd.daemon.speech.vad import FRAME, Vad

# Of the bundled recording, 40 dB quieter, the detector finds four fifths of the speech.
QUIET_SPEECH_DBFS: Final = -60.0
NOTHING_DBFS: Final = -75.0  # of the loudest frame: no room is so silent
NOISE_DBFS: Final = -35.0  # of the quietest frames: as loud as speech
CLIPPED: Final = 0.001  # share of all samples
OFFSET: Final = 0.05  # of full scale
ALWAYS: Final = 0.9  # share of frames that are voiced, where speech has pauses
STEADY_DB: Final = 10.0  # between loud and quiet frames: speech has 30 and more


@dataclass(frozen=True, slots=True)
class Heard:
    """Figures of what was heard; levels are RMS about the mean, relative to full scale."""

    seconds: float
    is_still: bool  # all samples were alike
    level_dbfs: float
    loudest_dbfs: float  # of a frame
    floor_dbfs: float  # of the quietest tenth of the frames
    spread_db: float  # between the loudest and the quietest tenth
    clipped: float  # share of samples, 0..1
    offset: float  # of full scale, -1..1
    voiced: float  # share of frames, 0..1
    speech_dbfs: float | None  # of the voiced frames; None if too few for an utterance


def measure(samples: NDArray[np.int16], vad_mode: int) -> Heard:
    """samples: shape (n,), mono, 16 kHz, at least one frame; a partial last frame is dropped."""
    samples = samples[: samples.size - samples.size % FRAME]
    vad = Vad(vad_mode)
    voiced = np.array([vad.is_speech(frame) for frame in samples.reshape(-1, FRAME)])
    whole = Utterance(samples, 0, np.ones_like(voiced))
    levels = levels_dbfs(whole)
    low, high = np.percentile(levels, [10, 90])
    is_speech = voiced.sum() >= SegmenterSpec().least_voiced
    return Heard(
        seconds=round(samples.size / (FRAME / 0.03), 2),
        is_still=bool((samples == samples[0]).all()),
        level_dbfs=_rounded(level_dbfs(whole)),
        loudest_dbfs=_rounded(levels.max()),
        floor_dbfs=_rounded(low),
        spread_db=_rounded(high - low),
        clipped=round(clipped_share(whole), 5),
        offset=round(float(samples.mean()) / 32768, 4),
        voiced=round(float(voiced.mean()), 3),
        speech_dbfs=_rounded(level_dbfs(replace(whole, voiced=voiced))) if is_speech else None,
    )


def judge(heard: Heard) -> Iterator[tuple[Problem, str]]:
    """What is wrong, with what shows it."""
    if heard.is_still:
        yield Problem.MICROPHONE_SILENT, "it delivers nothing but silence"
        return
    if heard.clipped > CLIPPED:
        share = f"{heard.clipped:.1%} of its samples are at the end of the scale"
        yield Problem.MICROPHONE_CLIPS, f"it is too loud: {share}"
    if heard.speech_dbfs is not None and heard.speech_dbfs < QUIET_SPEECH_DBFS:
        level = f"speech is at {heard.speech_dbfs:.0f} dBFS"
        yield Problem.MICROPHONE_QUIET, f"it is too quiet: {level}, below {QUIET_SPEECH_DBFS:g}"
    elif heard.loudest_dbfs < NOTHING_DBFS:
        level = f"nothing is above {heard.loudest_dbfs:.0f} dBFS"
        yield Problem.MICROPHONE_QUIET, f"it is too quiet: {level}"
    if heard.floor_dbfs > NOISE_DBFS:
        level = f"even its quietest moments are at {heard.floor_dbfs:.0f} dBFS"
        yield Problem.MICROPHONE_NOISY, f"there is much noise: {level}"
    if abs(heard.offset) > OFFSET:
        yield Problem.MICROPHONE_OFFSET, f"its samples are off zero by {heard.offset:.0%}"
    if heard.voiced > ALWAYS and heard.spread_db < STEADY_DB:
        share = f"{heard.voiced:.0%} of the time is taken for speech"
        yield Problem.NOISE_AS_SPEECH, f"{share}, though the level hardly changes"
    elif heard.speech_dbfs is None:
        yield Problem.SPEECH_NOT_HEARD, f"no speech was heard in {heard.seconds:.1f} s"


def _rounded(decibels: float) -> float:
    return round(float(decibels), 1)
