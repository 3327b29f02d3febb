"""Two sets of weights where one engine is expected: the student's, and the teacher's beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gasp_rl.config import LossConfig, OptimConfig
from gasp_rl.engines.protocol import Completion, Engine, MeasuresMemory, Row, SamplingParams
from gasp_rl.types import Metrics, Tokens

TEACHER = "teacher"
"""Folder of the teacher's weights within a checkpoint, which is the student's model folder."""


class TwoPolicies:
    """Every verb is the student's; `save`, `load` and `close` reach both. `teacher` is the other's
    engine, with weights, optimiser and version of its own.
    """

    def __init__(self, student: Engine, teacher: Engine) -> None:
        self.student, self.teacher = student, teacher
        self.caps, self.tokenizer = student.caps, student.tokenizer

    @property
    def version(self) -> int:
        return self.student.version

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        return self.student.sample(prompts_P, n, params)

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        return self.student.logprobs(rows, of)

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        return self.student.forward_backward(rows, loss)

    def optim_step(self, optim: OptimConfig) -> Metrics:
        return self.student.optim_step(optim)

    def publish(self) -> int:
        return self.student.publish()

    def memory_peak(self) -> Metrics:
        """Both engines are in one process: either measures both."""
        return self.student.memory_peak() if isinstance(self.student, MeasuresMemory) else {}

    def save(self, path: Path) -> None:
        self.student.save(path)
        self.teacher.save(path / TEACHER)

    def load(self, path: Path) -> None:
        self.student.load(path)
        self.teacher.load(path / TEACHER)

    def close(self) -> None:
        self.student.close()
        self.teacher.close()
