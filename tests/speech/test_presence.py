import pytest

from affectd.daemon.speech.presence import Presence, PresenceSpec

FRAME = 480


def followed(said: str, spec: PresenceSpec) -> str:
    """What presence says of frames, in which x is speech."""
    presence = Presence(spec)
    states = (presence.push(c == "x", n * FRAME) for n, c in enumerate(said))
    return "".join("x" if state else "." for state in states)


def test_without_delays_it_is_what_the_segmenter_says() -> None:
    assert followed("..xx..x", PresenceSpec(0.0, 0.0)) == "..xx..x"


@pytest.mark.parametrize(
    ("said", "state"),
    [("..xxxx", "...xxx"), ("..x...", "......"), ("..xx.xx", "...xxxx")],
)
def test_speech_must_last_to_be_believed(said: str, state: str) -> None:
    assert followed(said, PresenceSpec(on_delay_s=0.03, off_delay_s=0.06)) == state


def test_a_breath_does_not_end_it_but_silence_does() -> None:
    assert followed("xx.xx....", PresenceSpec(0.0, 0.06)) == "xxxxxxx.."


def test_it_ends_at_once_where_nothing_is_heard_any_more() -> None:
    presence = Presence(PresenceSpec())
    presence.push(True, 0)
    presence.end()
    assert not presence.push(False, FRAME)
