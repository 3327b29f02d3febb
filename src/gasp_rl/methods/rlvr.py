"""RLVR on real questions with GRPO: the baseline that trains on D directly.

Group Relative Policy Optimisation (arXiv 2402.03300): several attempts at each question, advantages
normalised within the question. A question that is always or never solved teaches nothing.
"""

from collections.abc import Sequence

from gasp_rl.config import Config
from gasp_rl.engines.protocol import SamplingParams
from gasp_rl.learning.advantages import grpo
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.update import student_experiences, update
from gasp_rl.rng import rng, seed_for
from gasp_rl.roles.student import Student
from gasp_rl.store.records import Purpose, StepRecord
from gasp_rl.tasks import TrainingQuestion


class Rlvr:
    """Takes `TrainingQuestion`s: the only road by which real questions become training rows."""

    def __init__(self, config: Config, pool: Sequence[TrainingQuestion], student: Student) -> None:
        self.config = config
        self.pool = pool
        self.student = student

    def step(self, step: int, journal: Journal) -> StepRecord:
        """One update."""
        self.learn(step, journal)
        return journal.record(self.student.engine.version)

    def learn(self, step: int, journal: Journal) -> float:
        """Draw questions, attempt each several times, update once; returns the share right."""
        settings = self.config.rlvr
        draw = rng(self.config.seed, step, "rlvr/questions")
        chosen = draw.permutation(len(self.pool))[: settings.questions]
        questions = [self.pool[int(i)].question for i in chosen]
        params = SamplingParams(
            max_tokens=self.config.student.sampling.max_tokens,
            temperature=self.config.student.sampling.temperature,
            seed=seed_for(self.config.seed, step, "rlvr/attempts"),
        )
        with journal.phase("solver"):
            groups = self.student.attempt(questions, settings.attempts, params)
            ids = journal.attempts(Purpose.RLVR, questions, [q.id for q in questions], groups)
            flat = [attempt for group in groups for attempt in group]
            experiences = student_experiences(ids, flat, params.temperature, self.config.student)
            advantages = grpo(
                [e.reward for e in experiences],
                [q.id for q, group in zip(questions, groups, strict=True) for _ in group],
            )
            with self.student.watch.part("training"):
                metrics = update(self.student.engine, experiences, advantages, self.config)
            journal.updated(experiences, advantages, metrics)
        return sum(attempt.right for attempt in flat) / len(flat)
