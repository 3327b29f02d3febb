"""Mining on synthetic pass rates: same goalposts as exhaustive mining, far fewer samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.errors import ConfigError, DataError, StoreError
from gasp_rl.evals.passk import upper_bound
from gasp_rl.goalposts.commands import stage_of
from gasp_rl.goalposts.file import GoalpostFile, read_goalposts, write_goalposts
from gasp_rl.goalposts.mining import Draw, DrawLog, Mined, Stage, mine, rounds, shard
from gasp_rl.problems.schema import load_questions
from gasp_rl.rng import rng
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example


def questions(count: int) -> list[Question]:
    return [
        Question(
            id=f"q{i}",
            source="synthetic",
            form=Form.FUNCTION,
            statement=f"question {i}",
            hidden=(Example(str(i), "1"),),
        )
        for i in range(count)
    ]


@dataclass
class Synthetic:
    """Solves question i with a fixed chance; `spent` counts samples; `dies_after` draws."""

    name: str
    rates: dict[str, float]
    spent: int = 0
    dies_after: int | None = None
    calls: list[int] = field(default_factory=list)

    def attempt(self, asked: Sequence[Question], n: int, seed: int) -> list[list[bool]]:
        if self.dies_after is not None and len(self.calls) >= self.dies_after:
            raise KeyboardInterrupt
        self.calls.append(len(asked))
        self.spent += n * len(asked)
        return [
            (rng(seed, 0, f"{self.name}/{q.id}").random(n) < self.rates[q.id]).tolist()
            for q in asked
        ]


def world(count: int = 200, goalposts: int = 24) -> tuple[list[Question], list[Synthetic]]:
    """Real goalposts have rate 0 under all; the others at least 0.3 under the best policy."""
    asked = questions(count)
    draw = np.random.default_rng(0)
    base = {q.id: 0.0 if i < goalposts else draw.uniform(0.05, 0.9) for i, q in enumerate(asked)}
    better = {name: min(1.0, 1.5 * p + 0.2 * (p > 0)) for name, p in base.items()}
    return asked, [Synthetic("base", base), Synthetic("rlvr", better)]


def stages(policies: Sequence[Synthetic], n: int = 100) -> list[Stage]:
    return [Stage(policy.name, (policy,), n) for policy in policies]


def run(tmp_path: Path, asked: list[Question], policies: list[Synthetic], **more: int) -> Mined:
    return mine(asked, stages(policies), DrawLog(tmp_path / "draws"), **more)


def test_finds_the_same_goalposts_as_exhaustive_mining_for_a_fraction(tmp_path: Path) -> None:
    asked, policies = world()
    exhaustive = {q.id for q in asked}
    for policy in policies:
        results = policy.attempt(asked, 100, 7)
        exhaustive -= {q.id for q, r in zip(asked, results, strict=True) if any(r)}
        policy.spent = 0
    mined = run(tmp_path, asked, policies, confirm=0)
    assert {g.question.id for g in mined.goalposts} == exhaustive
    assert mined.samples == sum(policy.spent for policy in policies)
    assert mined.naive == 200 * 100 * 2
    assert mined.samples <= 0.3 * mined.naive
    assert set(mined.solved_by) == {q.id for q in asked} - exhaustive


def test_confirmation_draws_fresh_samples_and_drops_the_lucky(tmp_path: Path) -> None:
    asked = questions(300)
    policy = Synthetic("base", {q.id: 0.02 for q in asked})
    without = mine(asked, stages([policy], 50), DrawLog(tmp_path / "a"), confirm=0)
    confirmed = mine(asked, stages([policy], 50), DrawLog(tmp_path / "b"), confirm=50)
    kept = {g.question.id for g in confirmed.goalposts}
    assert kept < {g.question.id for g in without.goalposts}
    assert 0.2 < len(kept) / len(without.goalposts) < 0.55  # 0.98**50 is 0.36
    for goalpost in confirmed.goalposts:
        (draws,) = goalpost.draws
        assert (draws.mined, draws.confirmed) == (50, 50)
        assert goalpost.bound() == upper_bound(0, 50)


def test_a_killed_run_resumes_without_drawing_twice(tmp_path: Path) -> None:
    asked, policies = world(60, 8)
    whole = mine(asked, stages(policies), DrawLog(tmp_path / "whole"), confirm=20)
    spent = sum(policy.spent for policy in policies)
    asked, policies = world(60, 8)
    policies[0].dies_after = 4
    with pytest.raises(KeyboardInterrupt):
        mine(asked, stages(policies), DrawLog(tmp_path / "cut"), confirm=20)
    path = tmp_path / "cut"
    path.write_bytes(path.read_bytes() + b'{"stage": "base", "poli')
    policies[0].dies_after = None
    resumed = mine(asked, stages(policies), DrawLog(path), confirm=20)
    assert resumed == whole
    assert sum(policy.spent for policy in policies) == spent


def test_shards_of_two_machines_merge_into_one_result(tmp_path: Path) -> None:
    asked, policies = world(80, 10)
    whole = mine(asked, stages(policies), DrawLog(tmp_path / "whole"), confirm=30)
    parts = [shard(asked, i, 2) for i in (0, 1)]
    assert sorted(q.id for part in parts for q in part) == sorted(q.id for q in asked)
    logs = [DrawLog(tmp_path / f"part{i}") for i in (0, 1)]
    for part, log in zip(parts, logs, strict=True):
        mine(part, stages(policies), log, confirm=30)
    assert logs[0].merge(logs[1]) > 0
    assert logs[0].merge(logs[1]) == 0
    before = sum(policy.spent for policy in policies)
    assert mine(asked, stages(policies), DrawLog(tmp_path / "part0"), confirm=30) == whole
    assert sum(policy.spent for policy in policies) == before


def test_a_success_under_another_seed_counts_after_a_merge(tmp_path: Path) -> None:
    asked = questions(40)
    rates = {q.id: 0.01 for q in asked}
    logs = [DrawLog(tmp_path / str(seed)) for seed in (0, 1)]
    alone = [
        mine(asked, stages([Synthetic("base", rates)]), log, confirm=0, seed=seed)
        for seed, log in enumerate(logs)
    ]
    logs[0].merge(logs[1])
    both = mine(asked, stages([Synthetic("base", rates)]), logs[0], confirm=0)
    kept = [{g.question.id for g in mined.goalposts} for mined in alone]
    assert {g.question.id for g in both.goalposts} == kept[0] & kept[1]


def test_bad_plans_and_logs_are_refused(tmp_path: Path) -> None:
    asked, policies = world(4, 1)
    log = DrawLog(tmp_path / "draws")
    with pytest.raises(DataError, match="same content"):
        mine([asked[0], asked[0]], stages(policies), log)
    with pytest.raises(DataError, match="different names"):
        mine(asked, stages([policies[0], policies[0]]), log)
    with pytest.raises(DataError, match="different names"):
        mine(asked, [], log)
    untested = Question(id="u", source="s", form=Form.FUNCTION, statement="u")
    with pytest.raises(DataError, match="no tests"):
        mine([untested], stages(policies), log)
    (tmp_path / "bad").write_text('{"stage": "base"}\n')
    with pytest.raises(StoreError, match="bad:1"):
        DrawLog(tmp_path / "bad")
    with pytest.raises(DataError, match="shard 2 of 2"):
        shard(asked, 2, 2)


@given(st.integers(1, 500), st.integers(1, 50))
def test_rounds_add_up_without_gaps(n: int, first: int) -> None:
    drawn = list(rounds(n, first))
    for before, (start, _) in enumerate(drawn):
        assert start == sum(size for _, size in drawn[:before])
    assert sum(size for _, size in drawn) == n


def test_goalposts_file_round_trip_and_tampering(tmp_path: Path) -> None:
    asked, policies = world(30, 5)
    mined = run(tmp_path, asked, policies, confirm=10)
    path = tmp_path / "goalposts.jsonl"
    content = GoalpostFile(mined.goalposts, {"seed": 0, "sets": ["synthetic"]})
    write_goalposts(path, content)
    assert read_goalposts(path) == content
    assert load_questions(path).questions == tuple(g.question for g in mined.goalposts)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match="header says 5 goalposts, the file holds 4"):
        read_goalposts(path)
    path.write_text(lines[0] + "\n" + lines[1].replace('"mined": 100', '"mined": -1') + "\n")
    with pytest.raises(DataError, match=r"goalposts.jsonl:2: draws: mined -1"):
        read_goalposts(path)
    path.write_text("")
    with pytest.raises(DataError, match="holds no goalposts"):
        read_goalposts(path)


def test_a_stage_may_bring_its_own_count() -> None:
    assert stage_of("rlvr=a/1,b/2", 100) == ("rlvr", ["a/1", "b/2"], 100)
    assert stage_of("base=a@1000", 100) == ("base", ["a"], 1000)
    assert stage_of("base=a@v2", 100) == ("base", ["a@v2"], 100)
    with pytest.raises(ConfigError, match="name=MODEL"):
        stage_of("base", 100)


@pytest.mark.parametrize("text", ["my notes", '{"schema": 1}', "a\nb", '{"schema": 1}\n{"sch'])
def test_a_file_that_is_no_log_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        DrawLog(path)
    assert path.read_text() == text


@pytest.mark.parametrize("torn", ["{", '{"stage": "ba'])
def test_a_torn_line_is_dropped(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "log.draws"
    log = DrawLog(path)
    draw = Draw(stage="a", policy="p", question="q", start=0, total=1, correct=0, seed=0)
    log.add([draw])
    whole = path.read_text()
    path.write_text(whole + torn)
    assert list(DrawLog(path).draws.values()) == [draw]
    assert path.read_text() == whole
