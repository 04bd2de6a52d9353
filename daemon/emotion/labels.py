"""The eight emotions, in the order used everywhere (RAVDESS codes 1 to 8)."""

from typing import Final

EMOTIONS: Final = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised")

# What a reading says when no emotion is likely enough.
UNKNOWN: Final = "unknown"
