"""The eight emotions, in the order used everywhere (RAVDESS codes 1 to 8)."""

from typing import Final, Literal, get_args

Emotion = Literal["neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]
EMOTIONS: Final[tuple[Emotion, ...]] = get_args(Emotion)

# What a reading says when no emotion is likely enough.
UNKNOWN: Final = "unknown"
