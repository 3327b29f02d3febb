"""Validation and test sets of one's own: used by trials, controls and studies, and kept apart."""

from dataclasses import replace
from pathlib import Path

import pytest

from gasp_rl.config import Config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.errors import DataError
from gasp_rl.methods import controls, loop
from gasp_rl.methods.dry_run import describe
from gasp_rl.methods.held_out import load_held_out
from gasp_rl.methods.session import open_session
from gasp_rl.problems.schema import write_questions
from gasp_rl.store.progress import Silent
from gasp_rl.store.run import RunStore
from gasp_rl.tasks import Form, Question
from gasp_rl.tasks.question import Match
from gasp_rl.types import Example
from gasp_rl.ui.comparison import comparison_view
from tests.methods.conftest import question, with_keys, write

STDIN = Question(
    id="stdin",
    source="test",
    form=Form.STDIN,
    statement="Add 7 to the number that is read, and print what comes out of it.",
    hidden=(Example("1\n", "8\n"),),
    difficulty="hard",
)


def questions_file(path: Path, *questions: Question) -> str:
    write_questions(path, questions)
    return str(path)


@pytest.fixture
def sets(config: Config, tmp_path: Path) -> Config:
    """Two validation questions, one of them on stdin, and three test questions without labels."""
    validation = questions_file(tmp_path / "v.jsonl", question(40), STDIN)
    one = questions_file(tmp_path / "t1.jsonl", question(50), question(51))
    two = questions_file(tmp_path / "t2.jsonl", question(52))
    return with_keys(config, data={"validation": validation, "test": f"{one},{two}"})


def test_trials_and_controls_take_the_sets_that_are_named(
    sets: Config, engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop.train(sets, tmp_path / "run", engine=engine)
    with RunStore.open_readonly(run) as reader:
        rows = reader.evals("validation")
        assert {(row.question, row.label) for row in rows} == {("h40", ""), ("stdin", "hard")}
        right = {row.question: row.correct for row in rows if row.step == 4}
        assert 0 <= right["h40"] <= 4
        trial = next(step for step in reader.steps() if step.step == 4)
        assert trial.metrics[loop.VALIDATION] == sum(right.values()) / 8

    def opened(config: Config):  # type: ignore[no-untyped-def]
        return open_session(config, ScriptedEngine(write))

    monkeypatch.setattr(controls, "open_session", opened)
    comparison = controls.compare_with_base(run, Silent(), samples=4)
    assert len(comparison.trained.test) == 3
    assert comparison.validated
    (group,) = comparison.groups(1)
    assert group.label == "all"
    text = comparison_view(comparison)
    assert "| difficulty | pass@1 base |" in text
    assert "Base at its best validation temperature" in text
    with RunStore.open_readonly(run) as reader:
        assert {row.question for row in reader.evals("test")} == {"h50", "h51", "h52"}


def test_an_embedded_pool_brings_its_own_splits_and_other_pools_none(config: Config) -> None:
    none = load_held_out(config, {})
    assert (none.validation, none.test) == ([], [])
    embedded = load_held_out(with_keys(config, data={"pool": "miniature"}), {})
    assert (len(embedded.validation), len(embedded.test)) == (216, 320)
    assert {q.difficulty for q in embedded.test} == set("12345678")
    named = with_keys(config, data={"validation": "miniature:validation", "test": "miniature"})
    again = load_held_out(named, {"data.pool": embedded.validation})
    assert (again.validation, again.test) == (embedded.validation, embedded.test)


@pytest.mark.parametrize(
    ("method", "setting", "number", "origin"),
    [
        ("gasp", "test", 3, "data.goalposts"),
        ("gasp", "validation", 0, "data.goalposts"),
        ("rlvr", "test", 12, "data.pool"),
        ("gasp+rlvr", "validation", 12, "data.pool"),
    ],
)
def test_what_measures_is_not_among_what_trains(
    config: Config, tmp_path: Path, method: str, setting: str, number: int, origin: str
) -> None:
    seen = replace(question(number), id="other", source="elsewhere")
    path = questions_file(tmp_path / "seen.jsonl", question(40), seen)
    leaking = with_keys(config, method=method, data={setting: path})
    says = f"1 questions of {origin} are also in data.{setting}; drop them"
    with (
        pytest.raises(DataError, match=says),
        open_session(leaking, ScriptedEngine(write)),
    ):
        pass


def test_a_pool_that_is_not_trained_on_may_be_tested_on(
    config: Config, engine: ScriptedEngine
) -> None:
    same = with_keys(config, data={"test": config.data.pool})
    with open_session(same, engine) as session:
        assert len(session.test) == 20
    with (
        pytest.raises(DataError, match=r"data\.validation are also in data\.test"),
        open_session(with_keys(same, data={"validation": config.data.pool}), engine),
    ):
        pass


def test_random_guides_are_trained_towards_as_well(config: Config, engine: ScriptedEngine) -> None:
    unguided = with_keys(config, data={"test": config.data.pool}, teacher={"guide": "pool"})
    with (
        pytest.raises(DataError, match=r"teacher\.guide are also in data\.test"),
        open_session(unguided, engine),
    ):
        pass


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (replace(question(40), shown=(), hidden=()), "cannot judge 1 of its 2 .* no tests"),
        (replace(question(40), match=Match.CLOSE, atol=1e-6), "cannot judge 1 of its 2 .* matched"),
        (
            Question(
                id="output",
                source="test",
                form=Form.OUTPUT,
                statement="What comes back?",
                starter_code="def f(x): return x",
                hidden=(Example("1", "1"),),
            ),
            "asks for no program",
        ),
    ],
)
def test_questions_that_a_run_cannot_judge_are_refused(
    config: Config, tmp_path: Path, wrong: Question, sentence: str
) -> None:
    path = questions_file(tmp_path / "wrong.jsonl", question(50), wrong)
    with pytest.raises(DataError, match=rf"data\.test.*{sentence}"):
        load_held_out(with_keys(config, data={"test": path}), {})


def test_sets_that_are_not_there_or_cannot_be_asked_are_said_before_the_run(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    with (
        pytest.raises(DataError, match="no set named 'nowhere'"),
        open_session(with_keys(config, data={"test": "nowhere"}), engine),
    ):
        pass
    path = questions_file(tmp_path / "stdin.jsonl", STDIN)
    plain = with_keys(config, model={"path": "miniature"}, data={"test": path})
    with (
        pytest.raises(DataError, match="no student template 'program'"),
        open_session(plain, engine),
    ):
        pass


def test_sets_with_the_same_ids_are_not_mixed(config: Config, tmp_path: Path) -> None:
    one = questions_file(tmp_path / "one.jsonl", question(50))
    two = questions_file(tmp_path / "two.jsonl", replace(question(51), id="h50"))
    with pytest.raises(DataError, match=r"data\.test: two questions have the id h50"):
        load_held_out(with_keys(config, data={"test": f"{one},{two}"}), {})


def test_a_dry_run_counts_what_measures(sets: Config, tmp_path: Path) -> None:
    assert "2 validation questions, 3 test questions" in describe(sets)
    leaking = with_keys(sets, data={"test": sets.data.goalposts})
    assert "no validation or test questions: 5 questions of data.goalposts" in describe(leaking)
    assert "test question" not in describe(with_keys(sets, data={"test": "", "validation": ""}))
