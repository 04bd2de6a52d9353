"""Speakers and sentences of CREMA-D that the shipped networks do not learn from.

`affectd demo` plays them. `affectd train demo` chooses them by what listeners heard; its rule is
in `affectd.train.demo`.
"""

from typing import Final

KEPT_OUT_SPEAKERS: Final = frozenset({"1016", "1018", "1078", "1081"})
KEPT_OUT_SENTENCES: Final = frozenset({"ITH", "TSI"})


def is_kept_out(clip_name: str) -> bool:
    """Whether the speaker or the sentence of a clip of CREMA-D is kept out of training.

    clip_name: the file's name without suffix, such as `1001_DFA_ANG_XX`.
    """
    speaker, _, rest = clip_name.partition("_")
    return speaker in KEPT_OUT_SPEAKERS or rest.partition("_")[0] in KEPT_OUT_SENTENCES
