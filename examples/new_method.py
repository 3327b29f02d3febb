"""A method of your own: expert iteration. The student learns from its right answers alone.

Run it: python examples/new_method.py runs/expert steps=3
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from gasp_rl.config import Config, load_config
from gasp_rl.engines.protocol import Engine, SamplingParams
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.loop import train
from gasp_rl.methods.session import Session, load_pool, open_session
from gasp_rl.methods.update import student_experiences, update
from gasp_rl.rng import rng, seed_for
from gasp_rl.roles.student import Student
from gasp_rl.store.records import Purpose, StepRecord
from gasp_rl.tasks import TrainingQuestion


class ExpertIteration:
    def __init__(self, config: Config, pool: Sequence[TrainingQuestion], student: Student) -> None:
        self.config, self.pool, self.student = config, pool, student

    def step(self, step: int, journal: Journal) -> StepRecord:
        seed, sizes, sampling = self.config.seed, self.config.rlvr, self.config.student.sampling
        order = rng(seed, step, "expert/questions").permutation(len(self.pool))
        questions = [self.pool[int(i)].question for i in order[: sizes.questions]]
        draws = seed_for(seed, step, "expert/attempts")
        params = SamplingParams(sampling.max_tokens, sampling.temperature, seed=draws)
        with journal.phase("solver"):
            groups = self.student.attempt(questions, sizes.attempts, params)
            ids = journal.attempts(Purpose.RLVR, questions, [q.id for q in questions], groups)
            attempts = [attempt for group in groups for attempt in group]
            rows = student_experiences(ids, attempts, params.temperature, self.config.student)
            right = np.array([float(attempt.right) for attempt in attempts])
            metrics = update(self.student.engine, rows, right, self.config)
            journal.updated(rows, right, metrics)
        return journal.record(self.student.engine.version)


@contextmanager
def opener(config: Config, engine: Engine | None = None) -> Iterator[Session]:
    with open_session(config, engine) as session:
        yield replace(session, method=ExpertIteration(config, load_pool(config), session.student))


if __name__ == "__main__":
    settings = load_config("miniature-rlvr", sys.argv[2:])
    print(train(settings, Path(sys.argv[1]), opener=opener))
