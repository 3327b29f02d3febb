"""The solver's half of a self-play step: the student attempts tasks, and is rewarded for each."""

from collections.abc import Sequence

from gasp_rl.config import Config
from gasp_rl.engines.protocol import SamplingParams
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.update import Experience, student_experiences
from gasp_rl.rng import seed_for
from gasp_rl.roles.student import Student
from gasp_rl.store.records import Purpose
from gasp_rl.tasks import Question, Task
from gasp_rl.types import Role, TaskKind

Batch = tuple[list[Experience], list[str]]
"""Rewarded completions, and the group of role and kind in which each is normalised."""


def solve(
    student: Student,
    tasks: Sequence[Task | Question],
    origins: Sequence[str],
    step: int,
    config: Config,
    journal: Journal,
) -> Batch:
    """`student.attempts` attempts at each task, noted in the journal; `origins` are the ids of the
    nodes and questions that the tasks come from."""
    settings = config.student
    params = SamplingParams(
        max_tokens=settings.sampling.max_tokens,
        temperature=settings.sampling.temperature,
        seed=seed_for(config.seed, step, "solver/attempts"),
    )
    groups = student.attempt(tasks, settings.attempts, params)
    ids = journal.attempts(Purpose.ATTEMPT, tasks, origins, groups)
    flat = [attempt for group in groups for attempt in group]
    labels = [
        f"{Role.STUDENT}/{kind_of(task)}"
        for task, group in zip(tasks, groups, strict=True)
        for _ in group
    ]
    return student_experiences(ids, flat, params.temperature, settings), labels


def kind_of(task: Task | Question) -> TaskKind:
    """A real question asks for a program too."""
    return TaskKind.INDUCTION if isinstance(task, Question) else task.kind
