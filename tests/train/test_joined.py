from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.speech.vad import FRAME, RATE_HZ
from affectd.train import joined
from affectd.train.corpora.corpus import CorpusError

Samples = NDArray[np.int16]


@pytest.fixture(scope="module")
def clip(speech: Samples) -> Samples:
    """One utterance, with the background of its recording around it."""
    first = joined.utterances(speech)[0]
    return speech[first.start : first.start + first.samples.size]


def pause(seconds: float) -> Samples:
    return np.random.default_rng(0).normal(0, 50, int(seconds * RATE_HZ)).astype(np.int16)


def power_db(samples: NDArray[np.generic]) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def test_joined_clips_are_as_they_were_and_begin_with_a_frame(clip: Samples) -> None:
    clips = [clip, clip[: -FRAME // 2]]
    made = joined.join(clips)
    for one, (start_s, end_s) in zip(clips, made.spans_s, strict=True):
        start = round(start_s * RATE_HZ)
        assert start % FRAME == 0
        assert end_s == pytest.approx(start_s + one.size / RATE_HZ, abs=0.01)
        np.testing.assert_array_equal(made.samples[start : start + one.size], one)


def test_each_joined_clip_is_one_utterance(clip: Samples) -> None:
    made = joined.join([clip] * 5)
    assert made.fits(joined.utterances(made.samples))


def test_the_room_tone_is_as_loud_as_the_quietest_part_of_the_clips() -> None:
    loud = np.random.default_rng(1).normal(0, 3_000, RATE_HZ).astype(np.int16)
    tone = joined.room_tone([np.concatenate([loud, pause(1.0)])], 3 * RATE_HZ)
    assert power_db(tone) == pytest.approx(power_db(pause(1.0)), abs=1)


def test_the_room_tone_has_the_pitch_of_the_background() -> None:
    hum = np.sin(2 * np.pi * 1_000 * np.arange(RATE_HZ) / RATE_HZ) * 100
    tone = joined.room_tone([hum.astype(np.int16)], RATE_HZ)
    power = np.abs(np.fft.rfft(tone)) ** 2
    assert power[900:1_100].sum() > 0.9 * power.sum()


def test_a_clip_with_a_pause_in_it_is_not_whole(clip: Samples) -> None:
    assert joined.is_whole(clip)
    assert not joined.is_whole(np.concatenate([clip, pause(1.0), clip]))


def test_a_clip_of_more_than_three_seconds_of_speech_is_not_whole(clip: Samples) -> None:
    start = clip[: clip.size // 2]
    assert not joined.is_whole(np.concatenate([start, start, start, clip]))


def test_a_written_recording_gives_one_utterance_for_each_clip(
    clip: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "a.ogg"
    made = joined.write(path, [clip] * 3)
    heard = Recording(path).samples()
    assert heard.size == made.samples.size
    assert made.fits(joined.utterances(heard))
    assert path.stat().st_size * 8 < 1.3 * joined.BITRATE * heard.size / RATE_HZ


def test_clips_that_do_not_give_one_utterance_each_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with pytest.raises(CorpusError, match=r"a\.ogg gives 0 utterances for 2 clips.*give other"):
        joined.write(path, [pause(1.0), pause(1.0)])
