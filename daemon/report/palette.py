"""The colours of the page and its plots, by daylight and in the dark."""

from typing import Final, NamedTuple


class Colour(NamedTuple):
    """One colour, as #rrggbb."""

    light: str
    dark: str


# Plots are drawn in the light ones, and in a page each becomes a variable of its name: so no two
# may be equal.
PALETTE: Final[dict[str, Colour]] = {
    "ink": Colour("#1d2530", "#e8ebf0"),
    "soft": Colour("#5b6675", "#a3adba"),
    "line": Colour("#dfe3e9", "#353d49"),
    "page": Colour("#f5f6f8", "#12161c"),
    "card": Colour("#fffffe", "#1b212a"),
    "accent": Colour("#2f6fb0", "#7db4ec"),
    "neutral": Colour("#93a1b3", "#8593a6"),
    "calm": Colour("#3fa39b", "#48b3aa"),
    "happy": Colour("#efb61c", "#f2c244"),
    "sad": Colour("#3d6cb9", "#5586d6"),
    "angry": Colour("#d1372c", "#e5564b"),
    "fearful": Colour("#7d4fb0", "#a37ad6"),
    "disgusted": Colour("#74892b", "#98ae4c"),
    "surprised": Colour("#ee7fa6", "#ec87ac"),
    "unknown": Colour("#cdd3db", "#4b5563"),
    "idle": Colour("#e9ecf0", "#2a313c"),
    "listening": Colour("#4b9f6e", "#57ad7c"),
    "opening": Colour("#c3b37a", "#a3945c"),
    "silent": Colour("#b9a3c9", "#8d76a0"),
    "paused": Colour("#9aaabd", "#66788f"),
    "lost": Colour("#e0752a", "#ee8b45"),
    "failed": Colour("#a61f1a", "#d6453f"),
}
