"""Mining goalposts: which questions does nothing solve? Sampled adaptively, confirmed afresh.

GASP (arXiv 2603.15957) calls a question a goalpost when pass@100 is 0 under the base model, the
checkpoints of RLVR runs, an AZR run and one more run: naively 100 samples x questions x policies.
Here a question is dropped at its first success, and small draws of every policy come before large
ones, so most questions cost a few samples. Survivors cost the full count; nothing can spare that.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from gasp_rl.errors import DataError, StoreError
from gasp_rl.goalposts.file import Draws, Goalpost
from gasp_rl.rng import seed_for
from gasp_rl.tasks.question import Question

CONFIRMATION = "confirmation"
"""Name of the last stage: fresh samples of every policy on what is left."""


class MiningPolicy(Protocol):
    """Something that attempts questions: a model with a sandbox behind it, or a synthetic rate."""

    @property
    def name(self) -> str: ...

    def attempt(self, questions: Sequence[Question], n: int, seed: int) -> list[list[bool]]:
        """`n` judged samples of each question, in order: whether each was right."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One filter: a question survives with 0 of `n` under each policy.

    Example::

        [Stage("base", (base,), 100), Stage("rlvr", checkpoints, 100), Stage("azr", (azr,), 100)]
    """

    name: str
    policies: tuple[MiningPolicy, ...]
    n: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One recorded draw: samples `start` ... `start + total` of a policy on a question."""

    stage: str
    policy: str
    question: str
    start: int
    total: int
    correct: int
    seed: int


BEGINS = b'{"stage": '
"""How each line of a log begins."""


class DrawLog:
    """Draws on disk, one JSON line each: append-only, so a killed run resumes and shards merge.

    A line that was cut short by a kill is dropped on opening; its draw is made again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.draws: dict[tuple[str, str, str, int, int], Draw] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()  # a part without questions leaves a log too, for merging
        self._read()

    def add(self, draws: Iterable[Draw]) -> None:
        """Append draws; they are on disk when this returns."""
        draws = list(draws)
        with self.path.open("a", encoding="ascii") as stream:
            stream.write("".join(json.dumps(asdict(draw)) + "\n" for draw in draws))
            stream.flush()
        self._remember(draws)

    def merge(self, other: "DrawLog") -> int:
        """Take over the draws of another machine's log; returns how many were new."""
        fresh = [draw for key, draw in other.draws.items() if key not in self.draws]
        self.add(fresh)
        return len(fresh)

    def _remember(self, draws: Iterable[Draw]) -> None:
        for draw in draws:
            key = (draw.stage, draw.policy, draw.question, draw.start, draw.seed)
            self.draws[key] = draw

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole, _, torn = data.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                draw = Draw(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise StoreError(f"{self.path}:{number}: not a recorded draw: {error}") from None
            self._remember([draw])
        if torn and not (torn.startswith(BEGINS) or BEGINS.startswith(torn)):
            raise StoreError(f"{self.path}: holds something other than draws; name another log")
        if torn:  # only now: a file that is none of ours stays as it is
            self.path.write_bytes(whole + b"\n" if whole else b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What a stage took. naive: full count for every question that entered, every policy."""

    stage: str
    entered: int
    left: int
    samples: int
    naive: int


@dataclass(frozen=True, slots=True)
class Mined:
    """The outcome: goalposts, who solved each dropped question first, and the cost."""

    goalposts: tuple[Goalpost, ...]
    solved_by: dict[str, str]
    costs: tuple[StageCost, ...]

    @property
    def samples(self) -> int:
        return sum(cost.samples for cost in self.costs)

    @property
    def naive(self) -> int:
        """The exhaustive cost: every policy's full count on every question of the first stage."""
        entered = self.costs[0].entered if self.costs else 0
        return sum(
            entered * (cost.naive // cost.entered if cost.entered else 0) for cost in self.costs
        )


def mine(
    questions: Sequence[Question],
    stages: Sequence[Stage],
    log: DrawLog,
    *,
    confirm: int = 100,
    seed: int = 0,
    first: int = 1,
    on_round: Callable[[str, str, int], None] = lambda stage, policy, left: None,
) -> Mined:
    """Find the goalposts among `questions`.

    confirm:  fresh samples of every policy of every stage on the survivors; 0 leaves them out.
    first:    size of the first draw; each following round doubles it, up to the stage's count.
    on_round: called with (stage, policy, questions left) after each draw.

    Resumes from the log: draws that it holds are not made again.
    """
    _check(questions, stages)
    plan = list(stages)
    if confirm:
        everyone = tuple(policy for stage in stages for policy in stage.policies)
        plan.append(Stage(CONFIRMATION, everyone, confirm))
    solved_by = _solved_elsewhere(log, plan, seed)
    left = [question for question in questions if question.key not in solved_by]
    totals: dict[tuple[str, str, bool], int] = {}
    costs: list[StageCost] = []
    for stage in plan:
        entered, samples = len(left), 0
        for start, size in rounds(stage.n, first):
            for policy in stage.policies:
                for draw in _draw(left, stage, policy, start, size, log, seed):
                    samples += draw.total
                    key = (draw.question, policy.name, stage.name == CONFIRMATION)
                    totals[key] = totals.get(key, 0) + draw.total
                    if draw.correct:
                        solved_by.setdefault(draw.question, f"{stage.name}: {policy.name}")
                left = [question for question in left if question.key not in solved_by]
                on_round(stage.name, policy.name, len(left))
        naive = entered * stage.n * len(stage.policies)
        costs.append(
            StageCost(
                stage=stage.name, entered=entered, left=len(left), samples=samples, naive=naive
            )
        )
    names = sorted({policy.name for stage in stages for policy in stage.policies})
    goalposts = tuple(
        Goalpost(
            question,
            tuple(
                Draws(
                    policy=name,
                    mined=totals[question.key, name, False],
                    confirmed=totals.get((question.key, name, True), 0),
                )
                for name in names
            ),
        )
        for question in left
    )
    ids: dict[str, str] = {question.key: question.id for question in questions}
    known = {ids[key]: who for key, who in solved_by.items() if key in ids}
    return Mined(goalposts, known, tuple(costs))


def rounds(n: int, first: int = 1) -> Iterator[tuple[int, int]]:
    """(start, size) of the draws that add up to n: sizes double, the last one is what remains.

    Example::

        list(rounds(10))  # [(0, 1), (1, 2), (3, 4), (7, 3)]
    """
    start, size = 0, first
    while start < n:
        size = min(size, n - start)
        yield start, size
        start, size = start + size, 2 * size


def shard(questions: Sequence[Question], index: int, of: int) -> tuple[Question, ...]:
    """The part of the questions that machine `index` of `of` mines; parts are disjoint by content,
    and their logs merge into one."""
    if not 0 <= index < of:
        raise DataError(f"shard {index} of {of}: the index runs from 0 to {of - 1}")
    return tuple(question for question in questions if int(question.key, 16) % of == index)


def _solved_elsewhere(log: DrawLog, plan: Sequence[Stage], seed: int) -> dict[str, str]:
    """Questions that a merged log saw solved under another seed, by one of the same policies."""
    names = {policy.name for stage in plan for policy in stage.policies}
    return {
        draw.question: f"{draw.stage}: {draw.policy} (merged)"
        for draw in log.draws.values()
        if draw.correct and draw.policy in names and draw.seed != _draw_seed(draw, seed)
    }


def _draw_seed(draw: Draw, seed: int) -> int:
    return seed_for(seed, draw.start, f"mining/{draw.stage}/{draw.policy}")


def _draw(
    left: Sequence[Question],
    stage: Stage,
    policy: MiningPolicy,
    start: int,
    size: int,
    log: DrawLog,
    seed: int,
) -> list[Draw]:
    """One draw of one policy on all questions left: recorded ones from the log, the rest made."""
    draw_seed = seed_for(seed, start, f"mining/{stage.name}/{policy.name}")
    keys = [(stage.name, policy.name, question.key, start, draw_seed) for question in left]
    missing = [question for question, key in zip(left, keys, strict=True) if key not in log.draws]
    if missing:
        attempts = policy.attempt(missing, size, draw_seed)
        for question, results in zip(missing, attempts, strict=True):
            if len(results) != size:
                raise DataError(
                    f"policy {policy.name}: {len(results)} samples of question {question.id}, "
                    f"{size} were asked for"
                )
        log.add(
            Draw(
                stage=stage.name,
                policy=policy.name,
                question=question.key,
                start=start,
                total=size,
                correct=sum(results),
                seed=draw_seed,
            )
            for question, results in zip(missing, attempts, strict=True)
        )
    return [log.draws[key] for key in keys]


def _check(questions: Sequence[Question], stages: Sequence[Stage]) -> None:
    if len({question.key for question in questions}) < len(questions):
        raise DataError("two of the questions to mine have the same content")
    if untested := [question.id for question in questions if not question.gradable]:
        raise DataError(f"{len(untested)} questions have no tests, for instance {untested[0]}")
    names = [policy.name for stage in stages for policy in stage.policies]
    if len(set(names)) < len(names) or not names:
        raise DataError(f"mining needs policies with different names, got {names}")
    if any(stage.n < 1 or stage.name == CONFIRMATION for stage in stages):
        raise DataError(f"a stage needs a positive count and a name other than {CONFIRMATION}")
