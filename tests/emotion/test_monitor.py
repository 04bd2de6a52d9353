from affectd.daemon.emotion.monitor import Monitor, MonitorSpec

SECOND = 16_000
SPEC = MonitorSpec(readings=10, over_s=60.0, share=0.9)


def warned(emotions: list[str], every_s: int = 10) -> str:
    monitor = Monitor(SPEC)
    for number, emotion in enumerate(emotions):
        monitor.push(emotion, number * every_s * SECOND)
    return monitor.warning


def test_a_room_that_is_angry_all_the_time_is_odd() -> None:
    warning = warned(["angry"] * 10)
    assert warning.startswith("10 of the last 10 readings are angry, for 2 minutes: see whether")


def test_one_other_reading_among_many_does_not_hide_it() -> None:
    assert "9 of the last 10" in warned(["angry"] * 8 + ["calm", "angry"])


def test_two_others_end_it() -> None:
    assert warned(["angry"] * 10 + ["sad", "calm"]) == ""


def test_a_room_that_is_neutral_or_calm_all_day_is_usual() -> None:
    assert warned(["neutral"] * 10) == warned(["calm"] * 10) == ""


def test_a_short_outburst_is_not_odd() -> None:
    assert warned(["angry"] * 10, every_s=3) == ""


def test_few_readings_say_nothing() -> None:
    assert warned(["angry"] * 9, every_s=100) == ""


def test_what_is_unknown_does_not_count() -> None:
    assert warned(["angry", "unknown"] * 9) == ""
