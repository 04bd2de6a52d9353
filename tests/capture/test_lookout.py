from affectd.daemon.capture.lookout import LOOK_S, SURE, Lookout


def looks(lookout: Lookout, around: object, now_s: float, in_vain: bool = True) -> int:
    """How many looks are due one after the other."""
    count = 0
    while lookout.is_due(around, now_s, in_vain):
        count += 1
    return count


def test_at_first_no_look_is_due() -> None:
    assert looks(Lookout("cards", 0.0), "cards", 0.0) == 0


def test_after_a_loss_it_looks_a_few_times() -> None:
    lookout = Lookout("cards", 0.0)
    lookout.lose()
    assert looks(lookout, "cards", 1.0) == SURE


def test_when_something_around_changes_it_looks_whoever_is_interrupted() -> None:
    lookout = Lookout("cards", 0.0)
    assert looks(lookout, "other cards", 1.0, in_vain=False) == SURE
    assert looks(lookout, "other cards", 2.0, in_vain=False) == 0


def test_while_it_is_tried_in_vain_it_looks_every_minute() -> None:
    lookout = Lookout("cards", 0.0)
    assert looks(lookout, "cards", LOOK_S) == 1
    assert looks(lookout, "cards", LOOK_S + 1) == 0
    assert looks(lookout, "cards", 2 * LOOK_S) == 1


def test_without_need_it_never_looks() -> None:
    assert looks(Lookout("cards", 0.0), "cards", 1e6, in_vain=False) == 0
