"""Synthetic runs for looking at, testing and timing the explorer. Never evidence of learning.

    python bench/explorer_data.py runs/synthetic --steps 40
    python bench/explorer_data.py runs/large --steps 200 --proposals 100 --attempts 300

Programs are real and consistent with their examples; who solves what is drawn from a made-up
skill that grows. The run is noted as synthetic, and every page says so.
"""

import argparse
import ast
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gasp_rl.config import Config
from gasp_rl.rng import rng
from gasp_rl.store.records import (
    EvalRecord,
    GoalpostAttempt,
    GoalpostRecord,
    ProposalRecord,
    Purpose,
    RolloutRecord,
    StepRecord,
    TaskRecord,
    TokenTrace,
    proposal_id,
    rollout_id,
)
from gasp_rl.store.run import RunStore
from gasp_rl.types import (
    Axis,
    Example,
    Finish,
    Metrics,
    Outcome,
    PassRate,
    Rejection,
    Role,
    Stage,
    TaskKind,
    content_key,
)

OPS: tuple[tuple[str, str], ...] = (
    ("add {k} to each number", "x = [v + {k} for v in x]"),
    ("multiply each number by {k}", "x = [v * {k} for v in x]"),
    ("keep the even numbers", "x = [v for v in x if v % 2 == 0]"),
    ("keep the numbers above {k}", "x = [v for v in x if v > {k}]"),
    ("sort from small to large", "x = sorted(x)"),
    ("reverse the list", "x = x[::-1]"),
    ("take every second number", "x = x[::2]"),
    ("drop the first {k}", "x = x[{k}:]"),
    ("replace each number by the sum so far", "x = [sum(x[: i + 1]) for i in range(len(x))]"),
    ("remove repeated numbers, keep the first", "x = list(dict.fromkeys(x))"),
    ("subtract its left neighbour from each", "x = [b - a for a, b in zip([0] + x, x)]"),
    ("append the length", "x = x + [len(x)]"),
)
INPUTS = ("[3, 1, 4, 1, 5]", "[2, 7, 1, 8]", "[6, 6, 2, 9, 4, 0]", "[]", "[12, 5, 5, 8, 1, 3]")


@dataclass(frozen=True)
class Pipeline:
    """A program as its operations, each with its constant."""

    ops: tuple[tuple[int, int], ...]

    @property
    def program(self) -> str:
        lines = [OPS[op][1].format(k=k) for op, k in self.ops]
        return "\n".join(["def f(x):", *(f"    {line}" for line in lines), "    return x"])

    @property
    def statement(self) -> str:
        steps = "; then ".join(OPS[op][0].format(k=k) for op, k in self.ops)
        pairs = "\n".join(f"f({e.input}) = {e.output}" for e in self.examples()[:2])
        return f"{steps.capitalize()}.\n\nx is a list of integers.\n\n{pairs}"

    @property
    def title(self) -> str:
        op, k = self.ops[-1]
        return f"{OPS[op][0].format(k=k).capitalize()}, as step {len(self.ops)}"

    def examples(self) -> tuple[Example, ...]:
        scope: dict = {}
        exec(self.program, scope)  # our own templates, never a model's text
        return tuple(Example(i, repr(scope["f"](ast.literal_eval(i)))) for i in INPUTS)


def draw_pipeline(dice: np.random.Generator, depth: int) -> Pipeline:
    return Pipeline(
        tuple((int(dice.integers(len(OPS))), int(dice.integers(1, 6))) for _ in range(depth))
    )


def fake_trace(text: str, dice: np.random.Generator) -> TokenTrace:
    pieces = re.findall(r"\s*\w+|\s*[^\w\s]|\s+$", text)
    ends = np.cumsum([len(piece) for piece in pieces])
    logprobs = -dice.gamma(0.4, 0.5, len(pieces))
    return TokenTrace(
        ids=tuple(int(hash_) % 512 for hash_ in map(len, pieces)),
        logprobs=tuple(float(value) for value in logprobs),
        ends=tuple(int(end) for end in ends),
    )


class Synthesis:
    """One synthetic run in the making."""

    def __init__(self, store: RunStore, seed: int, steps: int, goalposts: int, fast: bool) -> None:
        self.store, self.seed, self.steps, self.fast = store, seed, steps, fast
        dice = rng(0, 0, "goalposts")
        self.goals = {f"g{i:03d}": draw_pipeline(dice, 6 + i % 4) for i in range(goalposts)}
        store.note("synthetic", "made by bench/explorer_data.py: no model was trained")
        store.add_goalposts(
            GoalpostRecord(id, "miniature", goal.statement) for id, goal in self.goals.items()
        )
        self.lemmas: list[tuple[str, str, Pipeline]] = []
        self.nodes: list[tuple[str, str, Pipeline]] = []
        self.solved: set[str] = set()

    def skill(self, step: int) -> float:
        return 2.4 + 3.0 * (1 - math.exp(-2 * step / self.steps)) + 0.2 * self.seed

    def chance(self, pipeline: Pipeline, step: int) -> float:
        return 1 / (1 + math.exp(1.6 * (len(pipeline.ops) - self.skill(step))))

    def propose(
        self, step: int, index: int, stage: Stage, dice: np.random.Generator
    ) -> ProposalRecord:
        if stage is Stage.LEMMA:
            goal = list(self.goals)[int(dice.integers(len(self.goals)))]
            whole = self.goals[goal].ops
            start = int(dice.integers(len(whole) - 2))
            depth = int(dice.integers(2, 6))
            parent, pipeline = goal, Pipeline(whole[start : start + depth])
        else:
            parent, goal, lemma = self.lemmas[
                int(dice.integers(max(0, len(self.lemmas) - 60), len(self.lemmas)))
            ]
            pipeline = Pipeline(lemma.ops + draw_pipeline(dice, 1).ops)
        rejection, rate, similarity = None, None, float(dice.beta(8, 3))
        lucky = dice.random()
        if lucky < 0.12:
            rejection = Rejection.UNPARSABLE
        elif lucky < 0.14:
            rejection = Rejection.UNSAFE
        elif lucky < 0.22:
            rejection = Rejection.FAILS
        elif lucky < 0.23:
            rejection = Rejection.NON_DETERMINISTIC
        elif lucky < 0.33 and self.nodes:
            rejection, similarity = Rejection.DUPLICATE, float(dice.uniform(0.951, 1.0))
        else:
            rate = PassRate(int(dice.binomial(10, self.chance(pipeline, step))), 10)
            low, high = (3, 7) if stage is Stage.LEMMA else (1, 5)
            if rate.correct < low:
                rejection = Rejection.TOO_HARD
            elif rate.correct > high:
                rejection = Rejection.TOO_EASY
        unread = rejection is Rejection.UNPARSABLE
        examples = (
            ()
            if rejection in (Rejection.UNPARSABLE, Rejection.UNSAFE, Rejection.FAILS)
            else pipeline.examples()
        )
        program = pipeline.program
        thought = (
            f"The goalpost chains {len(pipeline.ops)} ideas. I keep the part that carries the "
            "trick and choose inputs that show each step on its own.\n\n"
        )
        completion = f"{thought}```python\n{program}\n```\n\n```message\n{pipeline.statement}\n```"
        if unread:
            completion = thought + program[: len(program) // 2]
        details = {
            Rejection.UNPARSABLE: "no fenced block named message",
            Rejection.UNSAFE: "import os is not allowed",
            Rejection.FAILS: "input 4 ([]): IndexError: list index out of range",
            Rejection.NON_DETERMINISTIC: "two fresh processes gave different outputs for input 2",
        }
        nearest = self.nodes[int(dice.integers(len(self.nodes)))][0] if self.nodes else None
        reward = -0.5 if rejection else self.reward(rate, stage)
        return ProposalRecord(
            id=proposal_id(step, stage, index),
            step=step,
            stage=stage,
            axis=Axis.F if dice.random() < 0.6 else Axis.IO,
            parent=parent,
            goalpost=goal,
            prompt=self.prompt(stage, parent, goal),
            completion=completion,
            rejection=rejection,
            reward=-1.0 if unread else reward,
            advantage=float(dice.normal()),
            finish=Finish.STOP if dice.random() < 0.95 else Finish.LENGTH,
            tokens=len(completion) // 4,
            program="" if unread else program,
            message="" if unread else pipeline.title,
            shown=examples[:2],
            hidden=examples[2:],
            detail=details.get(rejection, ""),
            pass_rate=rate,
            nearest=nearest,
            similarity=similarity if nearest else None,
            key=None if unread else content_key(program),
            group=f"{step}.{stage}.g{index // 8}",
            version=step - 1,
            trace=None if self.fast else fake_trace(completion, dice),
        )

    def prompt(self, stage: Stage, parent: str, goal: str) -> str:
        if stage is Stage.LEMMA:
            return (
                "You are a teacher. Here is a question that your student cannot solve.\n\n"
                f"{self.goals[goal].statement}\n\nWrite an easier variant: a program, five inputs "
                "and a message to the student."
            )
        return (
            "You are a teacher. Here is a task that your student solves sometimes.\n\n"
            f"({parent})\n\nWrite a harder variant."
        )

    def reward(self, rate: PassRate | None, stage: Stage) -> float:
        assert rate is not None
        a, b = (0.5, 5) if stage is Stage.LEMMA else (0.1, 1)
        p = rate.value
        return ((p / a) * ((1 - p) / (1 - a)) ** ((1 - a) / a)) ** b

    def attempt(
        self,
        step: int,
        index: int,
        purpose: Purpose,
        node: tuple[str, str, Pipeline],
        dice: np.random.Generator,
        right: bool,
        group: str,
    ) -> tuple[RolloutRecord, TaskRecord]:
        id, _, pipeline = node
        kind = (
            TaskKind.INDUCTION
            if purpose is Purpose.PROBE
            else list(TaskKind)[int(dice.integers(3))]
        )
        shown = pipeline.examples()[:2] if not self.fast else (Example(INPUTS[0], "[...]"),)
        answer = pipeline.program if kind is TaskKind.INDUCTION else INPUTS[int(dice.integers(5))]
        if not right:
            answer = (
                answer.replace("x = ", "x = x and ", 1) if kind is TaskKind.INDUCTION else "[0]"
            )
        malformed = not right and dice.random() < 0.15
        completion = f"Look at the pairs one step at a time.\n\n```python\n{answer}\n```"
        if malformed:
            completion = completion[: len(completion) // 2]
        outcome = Outcome.RIGHT if right else Outcome.MALFORMED if malformed else Outcome.WRONG
        trained = purpose is Purpose.ATTEMPT
        pairs = "\n".join(f"f({e.input}) = {e.output}" for e in shown)
        key = content_key(kind, id)
        record = RolloutRecord(
            id=rollout_id(step, purpose, index),
            step=step,
            role=Role.STUDENT,
            kind=kind,
            purpose=purpose,
            task_key=key,
            group=group,
            prompt=f"{pipeline.statement}\n\n{pairs}\n\nWrite f.",
            completion=completion,
            outcome=outcome,
            tokens=len(completion) // 4,
            finish=Finish.STOP,
            version=step - 1,
            origin=id,
            detail="" if right else f"hidden pair 2: f({INPUTS[3]}) gave [0], expected []",
            reward={Outcome.RIGHT: 1.0, Outcome.WRONG: -0.5, Outcome.MALFORMED: -1.0}[outcome]
            if trained
            else None,
            advantage=float(dice.normal()) if trained else None,
            trace=None if self.fast else fake_trace(completion, dice),
        )
        return record, TaskRecord(
            key=key, kind=kind, program=pipeline.program, message=pipeline.statement, shown=shown
        )

    def run_step(self, step: int, proposals: int, attempts: int) -> None:
        dice = rng(self.seed, step, "step")
        made: list[ProposalRecord] = []
        rollouts: list[RolloutRecord] = []
        tasks: dict[str, TaskRecord] = {}
        pipelines: dict[str, Pipeline] = {}
        for stage in (Stage.LEMMA, Stage.LIFT):
            if stage is Stage.LIFT and not self.lemmas:
                continue
            for index in range(proposals // 2):
                record = self.propose(step, index, stage, dice)
                made.append(record)
                if record.rejection is None:
                    ops = Pipeline(self._ops_of(record))
                    pipelines[record.id] = ops
                    (self.lemmas if stage is Stage.LEMMA else []).append(
                        (record.id, record.goalpost, ops)
                    )
                    self.nodes.append((record.id, record.goalpost, ops))
        probes = 0
        for record in made if not self.fast else made[: proposals // 4]:
            if record.pass_rate and record.id in pipelines:
                node = (record.id, record.goalpost, pipelines[record.id])
                for j in range(10):
                    rollout, task = self.attempt(
                        step,
                        probes,
                        Purpose.PROBE,
                        node,
                        dice,
                        j < record.pass_rate.correct,
                        f"{step}.probe.{record.id}",
                    )
                    rollouts.append(rollout)
                    tasks[task.key] = task
                    probes += 1
        for index in range(attempts if self.nodes else 0):
            node = self.nodes[int(dice.integers(max(0, len(self.nodes) - 40), len(self.nodes)))]
            right = dice.random() < self.chance(node[2], step)
            rollout, task = self.attempt(
                step, index, Purpose.ATTEMPT, node, dice, bool(right), f"{step}.attempt.{node[0]}"
            )
            rollouts.append(rollout)
            tasks[task.key] = task
        evaluate = step % 10 == 0
        tried = self.try_goalposts(step, dice) if evaluate else []
        self.store.commit_step(
            StepRecord(
                step=step,
                seconds=float(dice.gamma(40, 0.2)),
                version=step,
                metrics=self.metrics(step, made, rollouts, dice),
                times=self.times(dice),
                state=f"{step}".encode(),
                proposals=made,
                rollouts=rollouts,
                tasks=list(tasks.values()),
                goalpost_attempts=tried,
                evals=self.evaluate(step, dice) if evaluate else [],
            )
        )

    def _ops_of(self, record: ProposalRecord) -> tuple[tuple[int, int], ...]:
        lines = [line.strip() for line in record.program.splitlines()[1:-1]]
        ops = []
        for line in lines:
            for op, (_, code) in enumerate(OPS):
                match = re.fullmatch(re.escape(code).replace(r"\{k\}", r"(\d+)"), line)
                if match:
                    ops.append((op, int(match[1]) if match.groups() else 1))
                    break
        return tuple(ops)

    def try_goalposts(self, step: int, dice: np.random.Generator) -> list[GoalpostAttempt]:
        rows = []
        for id, goal in self.goals.items():
            for policy, at in (("base-fresh", 0), ("trained", step)):
                if policy == "base-fresh" and step != 10:
                    continue
                correct = int(dice.binomial(100, 0.25 * self.chance(goal, at))) if at else 0
                self.solved |= {id} if correct and at else set()
                rows.append(
                    GoalpostAttempt(
                        step=at,
                        goalpost=id,
                        policy=policy,
                        correct=correct,
                        total=100,
                        temperature=1.0,
                        solution=f"```python\n{goal.program}\n```" if correct else None,
                    )
                )
        return rows

    def evaluate(self, step: int, dice: np.random.Generator) -> list[EvalRecord]:
        rows = []
        for at, policy in [(0, "base")] * (step == 10) + [(step, "trained")]:
            for depth in range(1, 9):
                for number in range(12):
                    pipeline = draw_pipeline(rng(1, depth, f"eval{number}"), depth)
                    correct = int(dice.binomial(40, self.chance(pipeline, at)))
                    at_k = {k: 1 - math.comb(40 - correct, k) / math.comb(40, k) for k in (1, 20)}
                    rows.append(
                        EvalRecord(
                            benchmark="validation",
                            policy=policy,
                            step=at,
                            question=f"d{depth}-{number:02d}",
                            label=f"depth {depth}",
                            tags=(("constants given", "a constant open")[number % 2],),
                            correct=correct,
                            total=40,
                            temperature=0.6,
                            pass_at=at_k,
                        )
                    )
        return rows

    def times(self, dice: np.random.Generator) -> Metrics:
        seconds: Metrics = {}
        for phase in ("lemma", "lift", "solver"):
            parts = {part: float(dice.gamma(8, 0.2)) for part in ("sampling", "judging")}
            parts["training"] = float(dice.gamma(6, 0.1))
            seconds |= {f"time/{phase}/{part}": value for part, value in parts.items()}
            seconds[f"time/{phase}"] = sum(parts.values()) + 0.1
        return seconds

    def metrics(
        self,
        step: int,
        made: list[ProposalRecord],
        rollouts: list[RolloutRecord],
        dice: np.random.Generator,
    ) -> Metrics:
        metrics: Metrics = {
            "curriculum/goalposts_reached": float(len(self.solved)),
            "curriculum/nodes": float(len(self.nodes)),
            "propose/written": float(len(made)),
            "propose/accepted": float(sum(p.rejection is None for p in made)),
            "novelty/nearest_mean": float(np.mean([p.similarity or 0 for p in made])),
            "policy/entropy": 0.55 * math.exp(-step / 150) + 0.02 * dice.random(),
            "policy/logprob_gap": float(dice.gamma(2, 2e-4)),
            "policy/grad_norm": float(dice.gamma(9, 0.05)),
            "group/all_right": 0.2 + 0.1 * dice.random(),
            "group/all_wrong": 0.15 + 0.1 * dice.random(),
            "tokens/sampled": float(sum(r.tokens for r in rollouts)),
            "tokens/truncated": float(np.mean([p.finish is Finish.LENGTH for p in made])),
            "sandbox/timeouts": 0.01 * dice.random(),
        }
        for stage in Stage:
            of = [p for p in made if p.stage is stage]
            if of:
                metrics[f"{stage}/accept_rate"] = sum(p.rejection is None for p in of) / len(of)
                metrics[f"teacher/reward/{stage}"] = float(np.mean([p.reward for p in of]))
        for reason in Rejection:
            metrics[f"propose/reject/{reason}"] = float(sum(p.rejection is reason for p in made))
        for kind in TaskKind:
            of_kind = [r for r in rollouts if r.kind is kind and r.purpose is Purpose.ATTEMPT]
            if of_kind:
                metrics[f"student/correct/{kind}"] = float(
                    np.mean([r.outcome is Outcome.RIGHT for r in of_kind])
                )
        return metrics


def synthesise(
    path: Path,
    *,
    steps: int = 40,
    seed: int = 0,
    goalposts: int = 40,
    proposals: int = 64,
    attempts: int = 64,
    fast: bool = False,
    name: str = "synthetic",
    lr: float = 1e-4,
) -> Path:
    """Write a synthetic run folder and return its path."""
    config = Config.model_validate(
        {
            "name": name,
            "seed": seed,
            "steps": steps,
            "hardware": "none: synthetic",
            "optim": {"lr": lr},
            "engine": {"name": "scripted"},
        }
    )
    with RunStore.create(config, path, recipe=f"steps = {steps}\n") as store:
        synthesis = Synthesis(store, seed, steps, goalposts, fast)
        for step in range(1, steps + 1):
            synthesis.run_step(step, proposals, attempts)
        store.note("finished", "all steps run")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--goalposts", type=int, default=40)
    parser.add_argument("--proposals", type=int, default=64)
    parser.add_argument("--attempts", type=int, default=64)
    parser.add_argument("--fast", action="store_true", help="no token traces, fewer probes")
    arguments = vars(parser.parse_args())
    print(synthesise(arguments.pop("path"), **arguments))


if __name__ == "__main__":
    main()
