"""Guided asymmetric self-play (GASP, arXiv 2603.15957).

One policy in two roles. In each global iteration the teacher sees goalposts that the student
cannot solve and writes easier variants (lemmas); then it sees accepted lemmas, and never their
goalposts, and writes harder variants (lifts); the student learns from both. Proposals are sampled
with rejection, and there is one update of the policy for each round of it.

Variants are settings: no I/O axis (`teacher.axes`), no novelty rejection (`novelty.enabled`), one
step in place of two (`teacher.lifts=0`), real-data RLVR after each iteration (`gasp+rlvr`), ladders
(`teacher.lifts`), goalposts that change (`renewal`), other rewards (`alignment`, `axis_check`).
"""

from collections.abc import Callable, Sequence

from gasp_rl.config import Config
from gasp_rl.curriculum.lineage import Buffers, Node, Request
from gasp_rl.curriculum.proposals import Proposal, Teacher
from gasp_rl.curriculum.shaping import Shaping
from gasp_rl.engines.protocol import Engine
from gasp_rl.learning.advantages import trr
from gasp_rl.methods.fresh import FreshSamples
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.rlvr import Rlvr
from gasp_rl.methods.solving import solve
from gasp_rl.methods.update import (
    Experience,
    learns_from_probes_of,
    student_experiences,
    teacher_experiences,
    update,
)
from gasp_rl.rng import rng
from gasp_rl.roles.student import Student
from gasp_rl.store.records import StepRecord
from gasp_rl.tasks import Question, Task, retell
from gasp_rl.types import Axis, Role, Stage, TaskKind


class Gasp:
    """The method's state is its buffers of accepted lemmas and lifts; all else is in the engine."""

    def __init__(
        self,
        config: Config,
        fresh: FreshSamples,
        student: Student,
        teacher: Teacher,
        shaping: Shaping,
        real: Rlvr | None = None,
    ) -> None:
        """fresh: which goalposts are in play, and what ladders go on from. shaping: other rewards
        than the paper's. real: RLVR on real questions, as a last phase."""
        self.config = config
        self.student = student
        self.teacher = teacher
        self.shaping = shaping
        self.real = real
        self.fresh = fresh

    @property
    def buffers(self) -> Buffers:
        return self.teacher.buffers

    def step(self, step: int, journal: Journal) -> StepRecord:
        """One global iteration: lemma phase, lift phase, solver phase."""
        goalposts = self.fresh.renewed_goalposts(step, journal)
        lemmas = self._phase(
            step, Stage.LEMMA, lambda at, seed: self._lemma_requests(goalposts, at, seed), journal
        )
        lifts: list[Node] = []
        if self.config.teacher.lifts:
            bases = lemmas + self.fresh.mastered_lifts(step, journal)
            lifts = self._phase(
                step, Stage.LIFT, lambda at, seed: self._lift_requests(bases, at, seed), journal
            )
        self._solver_phase(step, lemmas + lifts, journal)
        if self.real is not None:
            journal.metrics["rlvr/correct"] = self.real.learn(step, journal)
        journal.metrics |= self.shaping.metrics()
        return journal.record(self.student.engine.version)

    def _phase(
        self,
        step: int,
        stage: Stage,
        requests: Callable[[int, str], list[Request]],
        journal: Journal,
    ) -> list[Node]:
        """Rejection sampling: rounds of proposals, each with its update, until enough stand."""
        accepted: list[Node] = []
        for round in range(self.config.teacher.max_attempts):
            purpose = f"{stage}/{round}"
            with journal.phase(stage):
                proposals = self.teacher.propose(requests(step, purpose), step, purpose)
                accepted += self._learn_from_round(self.shaping(proposals), journal)
            if len(accepted) >= self.config.teacher.min_accepted:
                break
        return accepted

    def _lemma_requests(
        self, goalposts: Sequence[Question], step: int, purpose: str
    ) -> list[Request]:
        """Goalposts without replacement; for each an axis, which its lifts will inherit."""
        draw = rng(self.config.seed, step, f"{purpose}/goalposts")
        count = min(self.config.teacher.goalposts_per_round, len(goalposts))
        chosen = [goalposts[int(i)] for i in draw.permutation(len(goalposts))[:count]]
        axes = [Axis(a) for a in draw.choice(self.config.teacher.axes, size=count)]
        return [
            Request(
                stage=Stage.LEMMA,
                axis=axis,
                parent=h.id,
                goalpost=h.id,
                prompt=self.student.prompts.lemma(h, axis, self.config.teacher.inputs),
            )
            for h, axis in zip(chosen, axes, strict=True)
        ]

    def _lift_requests(self, bases: Sequence[Node], step: int, purpose: str) -> list[Request]:
        """This iteration's lemmas and mastered lifts; if too few, the latest lemmas before them."""
        earlier = [n for n in self.buffers.nodes if n.stage is Stage.LEMMA and n not in bases]
        draw = rng(self.config.seed, step, f"{purpose}/lemmas")
        count = self.config.teacher.goalposts_per_round
        ordered = [bases[int(i)] for i in draw.permutation(len(bases))] + earlier[::-1]
        return [
            Request(
                stage=Stage.LIFT,
                axis=lemma.axis,
                parent=lemma.id,
                goalpost=lemma.goalpost,
                prompt=self.student.prompts.lift(
                    lemma.task, lemma.axis, self.config.teacher.inputs
                ),
            )
            for lemma in ordered[:count]
        ]

    def _learn_from_round(self, proposals: list[Proposal], journal: Journal) -> list[Node]:
        """Update on every proposal of the round; keep the accepted ones as nodes."""
        ids = journal.proposals(proposals)
        nodes = [
            self.teacher.keep(p, i, journal.step)
            for i, p in zip(ids, proposals, strict=True)
            if p.accepted
        ]
        writer = self.teacher.engine or self.student.engine
        temperature = self.config.teacher.sampling.temperature
        teacher = teacher_experiences(ids, proposals, writer, temperature)
        probes = [
            experience
            for p in proposals
            if learns_from_probes_of(p, self.config.student)
            for experience in student_experiences(
                journal.trained_probes(p),
                p.probes,
                self.config.probe.temperature,
                self.config.student,
            )
        ]
        stages = [f"{Role.TEACHER}/{p.request.stage}" for p in proposals]
        kinds = [f"{Role.STUDENT}/{TaskKind.INDUCTION}"] * len(probes)
        if self.teacher.engine is None:
            self._update(teacher + probes, stages + kinds, journal)
        else:
            self._update(teacher, stages, journal, self.teacher.engine)
            self._update(probes, kinds, journal)
        return nodes

    def _solver_phase(self, step: int, fresh: Sequence[Node], journal: Journal) -> None:
        """The student attempts this iteration's tasks, then older ones, each as one of the kinds."""
        settings = self.config.student
        draw = rng(self.config.seed, step, "solver/tasks")
        older = [n for n in self.buffers.nodes if n not in fresh] if settings.replay else []
        order = [*fresh, *(older[int(i)] for i in draw.permutation(len(older)))]
        nodes = order[: settings.tasks]
        tasks: list[Task | Question] = [
            retell(n.task, TaskKind(draw.choice(settings.kinds)), draw) for n in nodes
        ]
        retired = self.fresh.retired_questions(step)
        tasks += [q.question for q in retired]
        origins = [*(n.id for n in nodes), *(q.question.id for q in retired)]
        with journal.phase("solver"):
            experiences, labels = solve(self.student, tasks, origins, step, self.config, journal)
            self._update(experiences, labels, journal)

    def _update(
        self,
        experiences: list[Experience],
        groups: list[str],
        journal: Journal,
        other: Engine | None = None,
    ) -> None:
        """Task-relative REINFORCE++: advantages are normalised for each (role, task kind).

        other: the teacher's engine, where it has weights of its own.
        """
        if not experiences:
            return
        advantages = trr(
            [e.reward for e in experiences],
            [len(e.completion.tokens_T) for e in experiences],
            groups,
            self.config.advantage.weighting,
        )
        with self.student.watch.part("training"):
            metrics = update(other or self.student.engine, experiences, advantages, self.config)
        if other is not None:
            metrics = {f"{Role.TEACHER}/{name}": value for name, value in metrics.items()}
        journal.updated(experiences, advantages, metrics)
