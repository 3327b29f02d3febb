"""Small runs for tests of the store and of what reads it."""

from collections.abc import Sequence
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.store.records import (
    EvalRecord,
    GoalpostAttempt,
    GoalpostRecord,
    ProposalRecord,
    Purpose,
    RolloutRecord,
    StepRecord,
    TaskRecord,
    proposal_id,
    rollout_id,
)
from gasp_rl.store.run import RunStore
from gasp_rl.types import (
    Axis,
    Example,
    Finish,
    Outcome,
    PassRate,
    Rejection,
    Role,
    Stage,
    TaskKind,
    content_key,
)

GOALPOSTS = (
    GoalpostRecord("g1", "miniature", "Double each number, drop the small ones.\nThen sum."),
    GoalpostRecord("g2", "miniature", "Sort, then take every second number."),
)


def proposal(
    step: int,
    index: int,
    stage: Stage = Stage.LEMMA,
    *,
    parent: str = "g1",
    goalpost: str = "g1",
    rejection: Rejection | None = None,
    text: str = "def f(x):\n    return sum(x)",
    pass_rate: PassRate | None = None,
) -> ProposalRecord:
    """One proposal whose texts all hold `text`."""
    probed = rejection in (None, Rejection.TOO_EASY, Rejection.TOO_HARD)
    return ProposalRecord(
        id=proposal_id(step, stage, index),
        step=step,
        stage=stage,
        axis=Axis.F,
        parent=parent,
        goalpost=goalpost,
        prompt=f"Write a variant of {parent}. {text}",
        completion=f"```python\n{text}\n```",
        rejection=rejection,
        reward=0.5 if rejection is None else -0.5,
        finish=Finish.STOP,
        tokens=12,
        program=text,
        message=text,
        shown=(Example(text, "6"),),
        hidden=(Example("[4]", text),),
        detail=text,
        pass_rate=(pass_rate or PassRate(5, 10)) if probed else None,
        nearest=None,
        similarity=0.4,
        key=content_key(step, stage, index),
        group=f"{step}.{stage}",
    )


def attempt(
    step: int, index: int, origin: str, *, right: bool = True, text: str = "return sum(x)"
) -> RolloutRecord:
    """One student attempt at a task made from `origin`."""
    return RolloutRecord(
        id=rollout_id(step, Purpose.ATTEMPT, index),
        step=step,
        role=Role.STUDENT,
        kind=TaskKind.INDUCTION,
        purpose=Purpose.ATTEMPT,
        task_key=content_key("task", origin),
        group=f"{step}.{origin}",
        prompt=f"Solve {origin}. {text}",
        completion=text,
        outcome=Outcome.RIGHT if right else Outcome.WRONG,
        tokens=7,
        finish=Finish.STOP,
        version=step,
        origin=origin,
        detail=text,
        reward=1.0 if right else -0.5,
        advantage=0.1,
    )


def task(origin: str, text: str = "def f(x):\n    return sum(x)") -> TaskRecord:
    return TaskRecord(
        key=content_key("task", origin),
        kind=TaskKind.INDUCTION,
        program=text,
        message=text,
        shown=(Example("[1, 2]", "3"),),
    )


def step_record(
    step: int, proposals: Sequence[ProposalRecord] = (), rollouts: Sequence[RolloutRecord] = ()
) -> StepRecord:
    """One step with an evaluation of each goalpost."""
    return StepRecord(
        step=step,
        seconds=1.5,
        version=step,
        metrics={"lemma/accept_rate": 0.25, "curriculum/nodes": float(step)},
        times={"time/lemma": 0.5},
        state=f"state after {step}".encode(),
        proposals=proposals,
        rollouts=rollouts,
        tasks=[task(r.origin) for r in rollouts],
        goalpost_attempts=[
            GoalpostAttempt(
                step=step,
                goalpost=goalpost.id,
                policy="trained",
                correct=int(goalpost.id == "g1" and step >= 2),
                total=10,
                temperature=1.0,
                solution="def f(x): ..." if goalpost.id == "g1" and step >= 2 else None,
            )
            for goalpost in GOALPOSTS
        ],
        evals=[
            EvalRecord(
                benchmark="test",
                policy="trained",
                step=step,
                question=f"q{i}",
                label=f"depth {i}",
                tags=("open",) if i % 2 == 0 else ("given",),
                correct=i,
                total=10,
                temperature=1.0,
                pass_at={1: i / 10},
            )
            for i in range(3)
        ],
    )


def small_run(root: Path, steps: int = 3, text: str | None = None, name: str = "small") -> RunStore:
    """An open run: each step has an accepted lemma, its lift, a rejected lemma and attempts."""
    store = RunStore.create(Config(name=name), root / name, recipe="steps = 3\n")
    store.add_goalposts(GOALPOSTS)
    words = {} if text is None else {"text": text}
    for step in range(1, steps + 1):
        lemma = proposal(step, 0, **words)
        lift = proposal(step, 0, Stage.LIFT, parent=lemma.id, pass_rate=PassRate(1, 10), **words)
        easy = proposal(step, 1, rejection=Rejection.TOO_EASY, pass_rate=PassRate(10, 10), **words)
        broken = proposal(
            step, 2, parent="g2", goalpost="g2", rejection=Rejection.UNPARSABLE, **words
        )
        tries = [
            attempt(step, i, f"{s}.lemma.0", right=i % 2 == 0, **words)
            for i, s in enumerate(range(1, step + 1))
        ]
        store.commit_step(step_record(step, [lemma, lift, easy, broken], tries))
    return store
