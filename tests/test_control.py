import pytest

from affectd.daemon.control import Control
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import CommandError
from affectd.daemon.publish.commands import Classes, Diagnostics, Quiet, Threshold, VoiceReset


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_nothing_is_in_force_before_a_command() -> None:
    control = Control()
    assert control.rules.threshold is None
    assert control.rules.classes == EMOTIONS
    assert control.quiet_s == control.diagnoses_s == 0
    assert not control.take_reset()


def test_threshold_and_classes_hold_beside_each_other_until_they_are_taken_back() -> None:
    control = Control()
    control.obey(Threshold(threshold=0.7))
    control.obey(Classes(classes=["sad", "neutral", "sad"]))
    assert control.rules.threshold == 0.7
    assert control.rules.classes == ("neutral", "sad")
    control.obey(Threshold(threshold=None))
    control.obey(Classes(classes=None))
    assert control.rules.threshold is None
    assert control.rules.classes == EMOTIONS


def test_a_span_ends_by_itself_or_by_a_command() -> None:
    clock = Clock()
    control = Control(clock=clock)
    control.obey(Quiet(for_s=10))
    control.obey(Diagnostics(for_s=5))
    clock.now_s += 4
    assert (control.quiet_s, control.diagnoses_s) == (6, 1)
    clock.now_s += 4
    assert (control.quiet_s, control.diagnoses_s) == (2, 0)
    control.obey(Quiet(for_s=0))
    assert control.quiet_s == 0


def test_a_voice_is_reset_once_for_each_command() -> None:
    control = Control()
    control.obey(VoiceReset())
    assert control.take_reset()
    assert not control.take_reset()
    control.obey(VoiceReset())
    assert control.take_reset()


def test_listening_is_handed_on_to_the_microphone() -> None:
    told: list[bool] = []
    control = Control(told.append)
    control.listen(False)
    control.listen(True)
    assert told == [False, True]


def test_a_recording_cannot_be_paused() -> None:
    with pytest.raises(CommandError, match="a recording is played"):
        Control().listen(False)
