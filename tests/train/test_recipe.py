import pytest

from affectd.train.ablation import CHANGES
from affectd.train.recipe import Recipe, RecipeError


def test_a_recipe_is_changed_by_text() -> None:
    changed = Recipe().changed({"steps": "7", "dropout": "0.25", "adaptation": "False"})
    assert (changed.steps, changed.dropout, changed.adaptation) == (7, 0.25, False)
    assert changed.batch == Recipe().batch


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"salt": "1"}, "'salt' is no ingredient; the recipe has steps, batch"),
        ({"steps": "many"}, "steps is 'many', it must be a int"),
        ({"adaptation": "maybe"}, "adaptation is 'maybe', it must be a bool"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(change: dict[str, str], why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        Recipe().changed(change)


def test_every_change_that_is_compared_makes_another_recipe() -> None:
    first, *others = [Recipe().changed(change) for change in CHANGES.values()]
    assert first == Recipe()
    assert len({first, *others}) == len(CHANGES)
