import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.speech.mfcc import FeatureSpec, MfccStream, mfcc

SPEC = FeatureSpec()


def librosa_mfcc(pcm: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    mel = librosa.feature.melspectrogram(
        y=pcm,
        sr=spec.rate_hz,
        n_fft=spec.window,
        hop_length=spec.hop,
        center=False,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
    )
    decibels = librosa.power_to_db(mel, amin=spec.floor, top_db=None)
    return np.asarray(librosa.feature.mfcc(S=decibels, n_mfcc=spec.n_mfcc).T)


def test_coefficients_of_real_speech_equal_librosas(speech: NDArray[np.int16]) -> None:
    pcm = speech / np.float32(32768)
    np.testing.assert_allclose(mfcc(pcm, SPEC), librosa_mfcc(pcm, SPEC), atol=1e-3)


def test_coefficients_equal_librosas_with_other_settings(speech: NDArray[np.int16]) -> None:
    spec = FeatureSpec(window=512, hop=200, n_mels=40, n_mfcc=13, fmin_hz=50, fmax_hz=7600)
    pcm = speech[:48000] / np.float32(32768)
    np.testing.assert_allclose(mfcc(pcm, spec), librosa_mfcc(pcm, spec), atol=1e-3)


def test_a_padded_utterance_has_as_many_frames_as_the_settings_say() -> None:
    assert mfcc(np.zeros(SPEC.samples, np.float32), SPEC).shape == (SPEC.n_frames, SPEC.n_mfcc)


def test_a_partial_last_frame_is_dropped() -> None:
    samples = SPEC.window + SPEC.hop - 1
    assert len(mfcc(np.zeros(samples, np.float32), SPEC)) == 1


def test_less_than_one_window_is_refused() -> None:
    with pytest.raises(ValueError, match="399 samples are less than one window of 400"):
        mfcc(np.zeros(399, np.float32), SPEC)


@given(sizes=st.lists(st.integers(0, 3000), max_size=20))
def test_audio_block_by_block_gives_the_same_coefficients_as_at_once(
    sizes: list[int], speech: NDArray[np.int16]
) -> None:
    heard = speech[8000:40000]
    stream, frames, at = MfccStream(SPEC), [], 0
    for size in [*sizes, heard.size]:
        frames.append(stream.push(heard[at : at + size]))
        at += size
    expected = mfcc(heard / np.float32(32768), SPEC)
    np.testing.assert_allclose(np.concatenate(frames), expected, atol=1e-3)


def test_louder_sound_moves_only_the_first_coefficient() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 16000).astype(np.float32)
    change = mfcc(4 * noise, SPEC) - mfcc(noise, SPEC)
    gain_db = 20 * np.log10(4)
    np.testing.assert_allclose(change[:, 0], gain_db * np.sqrt(SPEC.n_mels), atol=1e-2)
    np.testing.assert_allclose(change[:, 1:], 0, atol=1e-2)
