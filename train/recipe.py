"""How a network is fitted: every ingredient, each with the value that is used."""

from dataclasses import dataclass, replace
from typing import Any

from affectd.daemon.errors import AffectdError


class RecipeError(AffectdError):
    """A recipe has no such ingredient, or not such a value of it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The ingredients; a value of 0 leaves an ingredient out."""

    steps: int = 2400
    batch: int = 32
    learning_rate: float = 3e-3  # at the start; falls to 0 along a half cosine
    weight_decay: float = 0.02
    averaging: float = 0.995  # momentum of the exponential mean of the weights
    label_smoothing: float = 0.1
    listeners: float = 0.5  # share of a target that is what listeners heard, where they were asked
    virtual: float = 0.5  # share of utterances by virtual voices
    mixup: float = 0.0  # alpha of the Beta distribution of the shares of two utterances
    pauses: int = 1  # stretches of time set to zero (SpecAugment)
    pause_frames: int = 10  # at most, of 40 ms
    adaptation: bool = True  # draw how much was heard of a voice before; else nothing
    alike: float = 0.1  # share of draws in which only utterances of one emotion were heard
    members: int = 1  # of CNN and LSTM, after their first layer
    width: int = 96  # channels of the convolutions over time
    units: int = 48  # of the LSTM, each way
    attention: int = 32  # width of the attention over time; 0: every frame weighs the same
    dropout: float = 0.5
    input_dropout: float = 0.2  # of whole coefficients

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
