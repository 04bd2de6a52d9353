from affectd.daemon.emotion.monitor import Monitor, MonitorSpec

SECOND = 16_000
SPEC = MonitorSpec(readings=10, over_s=60.0, share=0.9)


def warned(emotions: list[str], every_s: int) -> str:
    monitor = Monitor(SPEC)
    for number, emotion in enumerate(emotions):
        monitor.push(emotion, number * every_s * SECOND)
    return monitor.warning


def test_a_room_that_is_angry_all_the_time_is_odd() -> None:
    warning = warned(["angry"] * 10, every_s=7)
    assert warning.startswith("10 of the last 10 readings are angry, for 1 minutes: see whether")


def test_it_is_odd_however_often_it_is_read() -> None:
    assert "angry" in warned(["angry"] * 100, every_s=1)
    assert "angry" in warned(["angry"] * 10, every_s=7)


def test_what_is_long_past_does_not_count() -> None:
    assert "angry" in warned(["sad"] * 50 + ["angry"] * 70, every_s=1)


def test_one_other_reading_among_many_does_not_hide_it() -> None:
    assert "angry" in warned(["angry"] * 18 + ["calm", "angry"], every_s=4)


def test_two_others_end_it() -> None:
    assert warned(["angry"] * 10 + ["sad", "calm"], every_s=6) == ""


def test_a_room_that_is_neutral_or_calm_all_day_is_usual() -> None:
    assert warned(["neutral"] * 10, every_s=7) == warned(["calm"] * 10, every_s=7) == ""


def test_a_short_outburst_is_not_odd() -> None:
    assert warned(["angry"] * 10, every_s=3) == ""


def test_few_readings_say_nothing() -> None:
    assert warned(["angry"] * 9, every_s=8) == ""


def test_what_is_unknown_does_not_count() -> None:
    assert warned(["angry", "unknown"] * 9, every_s=4) == ""
