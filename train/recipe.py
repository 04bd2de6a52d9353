"""How a network is fitted: every ingredient, each with the value that is used."""

from dataclasses import dataclass, replace
from typing import Any

from affectd.daemon.errors import AffectdError


class RecipeError(AffectdError):
    """A recipe has no such ingredient, or not such a value of it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The ingredients; a value of 0 leaves an ingredient out."""

    epochs: int = 32
    batch: int = 32
    learning_rate: float = 2e-3  # at the start; falls to 0 along a half cosine
    weight_decay: float = 0.02
    averaging: float = 0.99  # momentum of the exponential mean of the weights
    label_smoothing: float = 0.1
    mixup: float = 0.0  # alpha of the Beta distribution of the shares of two utterances
    bands: int = 1  # bands of mel channels set to their mean (SpecAugment)
    band_mels: int = 10  # at most, of 64
    pauses: int = 1  # stretches of time set to zero (SpecAugment)
    pause_frames: int = 25  # at most, of 10 ms
    virtual: float = 0.5  # share of utterances by virtual voices
    others: float = 0.4  # utterances of other corpora for each of the corpus that is tested
    balanced: bool = True  # within a corpus all its emotions are equally frequent
    distil: float = 0.0  # share of a target that a CNN and an LSTM, fitted before, say of it
    adaptation: bool = True  # draw how much was heard of a voice before; else nothing
    filters: int = 16  # of the first convolution over time and bands; the second has twice
    members: int = 2  # of CNN and LSTM, after their first layers
    width: int = 128  # channels of the convolutions over time
    separable: bool = False  # depthwise separable convolutions over time
    dilated: bool = True  # convolutions over time reach twice as far with each block
    deltas: bool = False  # how the bands move, beside the bands
    units: int = 96  # of the LSTM, each way
    both_ways: bool = True  # the LSTM hears forwards and backwards
    attention: bool = True  # in the statistics over time; else every frame weighs the same
    dropout: float = 0.4

    def changed(self, changes: dict[str, str]) -> "Recipe":
        """The recipe with other values, given as text. Raises RecipeError."""
        values: dict[str, Any] = {}
        for name, text in changes.items():
            if name not in self.__slots__:
                raise RecipeError(
                    f"{name!r} is no ingredient; the recipe has {', '.join(self.__slots__)}"
                )
            kind = type(getattr(self, name))
            try:
                values[name] = {"True": True, "False": False}[text] if kind is bool else kind(text)
            except (KeyError, ValueError) as error:
                raise RecipeError(f"{name} is {text!r}, it must be a {kind.__name__}") from error
        return replace(self, **values)
