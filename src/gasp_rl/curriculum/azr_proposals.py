"""AZR's proposals: three kinds, probed in the form they are meant for, rewarded by 1 - p.

The way of a proposal is that of `Teacher`; what differs is how it is read, in which form the student
is asked, and what it earns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gasp_rl.config import AzrConfig
from gasp_rl.curriculum.azr_compat import COMPAT, Compat
from gasp_rl.curriculum.lineage import Node, Request
from gasp_rl.curriculum.novelty import Neighbour
from gasp_rl.curriculum.proposals import Proposal, Teacher
from gasp_rl.roles.teacher import Unparsable, parse_description, parse_program
from gasp_rl.tasks import Abduction, Deduction, Induction, Task
from gasp_rl.types import PassRate, Rejection, Stage, TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AzrRequest(Request):
    """A proposer prompt. `given` is the program that an induction proposal describes."""

    given: str = ""


@dataclass(frozen=True, slots=True)
class Proposer(Teacher):
    """The policy in the role of AZR's proposer."""

    @property
    def compat(self) -> Compat:
        return COMPAT[self.config.azr.compat]

    def seeds(self, requests: Sequence[Request], step: int, purpose: str) -> list[Proposal]:
        """Proposals for the seed buffers: valid ones stand without a probe or a reward."""
        return self._without_twins(self.draft(requests, step, purpose))

    def _parse(self, proposal: Proposal) -> Proposal:
        request = proposal.request
        if isinstance(request, AzrRequest) and request.given:
            draft = parse_description(proposal.text, request.given, self.config.teacher.inputs)
        else:
            draft = parse_program(proposal.text)
        if isinstance(draft, Unparsable):
            return proposal.rejected(Rejection.UNPARSABLE, draft.reason)
        read = replace(proposal, draft=draft)
        if self.describes is not None and not self.describes(draft.message, draft.program):
            return read.rejected(Rejection.MISDESCRIBED, "the message tells of another program")
        return read

    def _shown(self, proposal: Proposal) -> int:
        """A program comes with one pair, of which the student sees one side."""
        induction = proposal.request.stage is Stage.INDUCTION
        return self.config.teacher.shown if induction else 0

    def _nearest(self, proposal: Proposal, vector: np.ndarray) -> Neighbour | None:
        """Among tasks of the same kind: an induction task shares its program with another one."""
        stage = proposal.request.stage
        among = [i for i, node in enumerate(self.buffers.nodes) if node.stage is stage]
        return self.buffers.index.nearest(vector, among)

    def _too_similar(self, similarity: float) -> bool:
        return self.compat.novelty and Teacher._too_similar(self, similarity)

    def _asked(self, proposal: Proposal) -> Task:
        assert proposal.task is not None
        return asked(proposal.task, proposal.request.stage.kind)

    def _probe_temperature(self) -> float:
        return 0.0 if self.compat.greedy_estimates else self.config.probe.temperature

    def _in_band(self, proposal: Proposal) -> Proposal:
        if proposal.pass_rate is None:
            return proposal
        reason = admission(proposal.pass_rate, self.config.azr)
        return proposal if reason is None else proposal.rejected(reason, str(proposal.pass_rate))

    def _rewarded(self, proposal: Proposal) -> Proposal:
        reward = proposer_reward(
            proposal.rejection, proposal.pass_rate, self.config.azr, self.compat
        )
        return replace(proposal, reward=reward)


def asked(task: Induction, kind: TaskKind) -> Task:
    """A task in the form of its kind; deduction and abduction ask about its first pair."""
    match kind:
        case TaskKind.INDUCTION:
            return task
        case TaskKind.DEDUCTION:
            return Deduction(task.program, (task.shown + task.hidden)[0])
        case TaskKind.ABDUCTION:
            return Abduction(task.program, (task.shown + task.hidden)[0])


def asked_node(node: Node, kind: TaskKind) -> Task:
    """A task of a buffer as the solver meets it."""
    return asked(node.task, kind)


def admission(pass_rate: PassRate, config: AzrConfig) -> Rejection | None:
    """Why a valid task does not enter the buffers (`azr.admit`), or None."""
    if config.admit != "all" and pass_rate.correct == pass_rate.total:
        return Rejection.TOO_EASY
    if config.admit == "non-extremes" and pass_rate.correct == 0:
        return Rejection.TOO_HARD
    return None


def proposer_reward(
    rejection: Rejection | None, pass_rate: PassRate | None, config: AzrConfig, compat: Compat
) -> float:
    """Learnability 1 - p of a valid task, 0 at p = 0 and p = 1 (AZR, equations 4 and 6).

    A task that taught nothing earns `compat.unlearnable_reward`, a program that is not valid
    `compat.invalid_reward`, a completion without one -1.

    Example: with 8 attempts of which one is right the reward is .875, its largest.
    """
    if rejection is Rejection.UNPARSABLE:
        return -1.0
    if pass_rate is None or rejection is Rejection.DUPLICATE:
        return compat.invalid_reward
    learnt = 1 - pass_rate.value
    if config.learnability == "one-minus" and pass_rate.correct == 0:
        learnt = 0.0
    return learnt if learnt > 0 else compat.unlearnable_reward
