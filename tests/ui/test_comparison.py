"""The evaluation with controls, as text."""

from gasp_rl.methods.controls import Comparison, Measured
from gasp_rl.types import PassRate
from gasp_rl.ui.comparison import comparison_view


def measured(name: str, correct: list[int], goalposts: list[int]) -> Measured:
    return Measured(
        name=name,
        temperature=1.0,
        test=[PassRate(c, 20) for c in correct],
        goalposts=[PassRate(c, 20) for c in goalposts],
    )


def compared(tags: list[str]) -> Comparison:
    return Comparison(
        base=measured("base", [20, 2, 20, 2], [0, 0]),
        trained=measured("trained", [20, 0, 20, 0], [0, 3]),
        labels=["1", "1", "1", "1"],
        tags=tags,
        samples=20,
    )


def test_tags_show_what_a_mean_over_both_hides() -> None:
    comparison = compared(["given", "open", "given", "open"])
    by_tag = comparison.tagged(20)
    assert [g.difference.value for g in by_tag["given"]] == [0.0]
    assert [g.difference.value for g in by_tag["open"]] == [-1.0]
    assert [g.base.questions for groups in by_tag.values() for g in groups] == [2, 2]
    text = comparison_view(comparison)
    assert "| 1 | 2 | 1.000 | 0.000 | -1.000 [-1.000, +0.315] |" in text  # two questions say little
    assert "trained: 1 of 2" in text


def test_questions_of_one_kind_have_one_table() -> None:
    comparison = compared(["given"] * 4)
    assert comparison.tagged(20) == {}
    assert comparison_view(comparison).count("|---|") == comparison_view(compared([""] * 4)).count(
        "|---|"
    )
    assert "depth, given" not in comparison_view(comparison)


def test_without_test_or_validation_questions_the_goalposts_stand_alone() -> None:
    comparison = Comparison(
        base=measured("base", [], [0, 0]),
        trained=measured("trained", [], [0, 3]),
        labels=[],
        tags=[],
        samples=20,
        validated=False,
    )
    text = comparison_view(comparison)
    assert "|" not in text
    assert "Both at temperature 1.0: there are no validation questions" in text
    assert "trained: 1 of 2" in text
