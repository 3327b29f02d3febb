"""AZR's proposals: three kinds, probed in the form they are meant for, rewarded by 1 - p.

The way of a proposal is that of `Teacher`; what differs is how it is read, in which form the student
is asked, and what it earns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gasp_rl.config import AzrConfig
from gasp_rl.curriculum.azr_compat import COMPAT, Compat
from gasp_rl.curriculum.azr_legacy import (
    LegacyAbduction,
    LegacyDeduction,
    LegacyInduction,
    banned_import,
    call_twice,
    golds,
)
from gasp_rl.curriculum.intrinsic import combined, terms
from gasp_rl.curriculum.lineage import Request
from gasp_rl.curriculum.novelty import Neighbour
from gasp_rl.curriculum.program_text import (
    composed,
    functions,
    renamed,
    uncalled,
    without_comments,
    without_globals,
    without_prints,
)
from gasp_rl.curriculum.proposals import Proposal, Teacher
from gasp_rl.roles.teacher import Draft, Unparsable, parse_description, parse_program
from gasp_rl.sandbox import Validate
from gasp_rl.tasks import Abduction, Deduction, Induction, Task
from gasp_rl.types import Example, Outcome, PassRate, Rejection, Stage, TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AzrRequest(Request):
    """A proposer prompt.

    given:      the program that an induction proposal describes.
    references: programs that the prompt shows.
    helpers:    programs that a composite proposal must call.
    """

    given: str = ""
    references: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposer(Teacher):
    """The policy in the role of AZR's proposer."""

    @property
    def compat(self) -> Compat:
        return COMPAT[self.config.azr.compat]

    def seeds(self, requests: Sequence[Request], step: int, purpose: str) -> list[Proposal]:
        """Proposals for the seed buffers: valid ones stand without a probe or a reward."""
        seen = {node.task.key for node in self.buffers.nodes}
        proposals = []
        for proposal in self._without_twins(self.draft(requests, step, purpose)):
            if proposal.accepted and proposal.task is not None:
                key = proposal.task.key
                if key in seen:
                    proposal = proposal.rejected(Rejection.DUPLICATE, "equal to an earlier seed")
                seen.add(key)
            proposals.append(proposal)
        return proposals

    def _parse(self, proposal: Proposal) -> Proposal:
        request = proposal.request
        assert isinstance(request, AzrRequest)
        draft: Draft | Unparsable
        if request.stage is Stage.INDUCTION:
            draft = parse_description(proposal.text, request.given, self.config.teacher.inputs)
        else:
            draft = parse_program(proposal.text)
        if isinstance(draft, Draft) and request.stage is not Stage.INDUCTION:
            draft = filtered(draft, request.helpers, self.config.azr)
        return self._read(proposal, draft)

    def _validate(self, proposals: list[Proposal]) -> list[Proposal]:
        """In fresh processes under the rules for teachers, or as AZR's code does it."""
        if self.compat.banned_imports:
            proposals = [self._with_legal_imports(p) for p in proposals]
        if not self.compat.calls_in_process:
            return self._standing(proposals, self._validate_afresh)
        return self._standing(proposals, self._call_twice)

    def _validate_afresh(self, proposals: list[Proposal]) -> list[Proposal]:
        """Each input twice in each process: a program of one input could otherwise count calls."""
        drafts = [p.draft for p in proposals if p.draft is not None]
        results = self.sandbox.map([Validate(d.program, d.inputs * 2) for d in drafts])
        checked = []
        for proposal, result in zip(proposals, results, strict=True):
            first, second = halves(result.outputs)
            if first != second:
                detail = "calls in one process disagree"
                checked.append(proposal.rejected(Rejection.NON_DETERMINISTIC, detail))
            else:
                checked.append(self._with_task(proposal, replace(result, outputs=first)))
        return checked

    def _with_legal_imports(self, proposal: Proposal) -> Proposal:
        """AZR's list; nothing is banned where the program was given."""
        assert proposal.draft is not None
        if proposal.request.stage is Stage.INDUCTION:
            return proposal
        offence = banned_import(proposal.draft.program)
        if offence is None:
            return proposal
        reason = Rejection.UNSAFE if offence.startswith("import ") else Rejection.FAILS
        return proposal.rejected(reason, offence)

    def _call_twice(self, proposals: list[Proposal]) -> list[Proposal]:
        drafts = [p.draft for p in proposals if p.draft is not None]
        results = self.sandbox.map([call_twice(d.program, d.inputs) for d in drafts])
        checked = []
        for proposal, draft, result in zip(proposals, drafts, results, strict=True):
            outputs = golds(result, self.compat)
            if isinstance(outputs, str):
                checked.append(proposal.rejected(Rejection.FAILS, outputs))
                continue
            pairs = [Example(*pair) for pair in zip(draft.inputs, outputs, strict=True)]
            checked.append(replace(proposal, task=self._task(proposal, pairs)))
        return checked

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
        return asked(proposal.task, proposal.request.stage.kind, self.compat)

    def _probe_temperature(self) -> float:
        return 0.0 if self.compat.greedy_estimates else self.config.probe.temperature

    def _probe(self, proposals: list[Proposal], step: int, purpose: str) -> list[Proposal]:
        """Induction attempts may count by hidden pairs (`azr.induction_estimate`)."""
        probed = Teacher._probe(self, proposals, step, purpose)
        if self.config.azr.induction_estimate == "binary":
            return probed
        return [self._by_pairs(p) if p.request.stage is Stage.INDUCTION else p for p in probed]

    def _by_pairs(self, proposal: Proposal) -> Proposal:
        """Judge each attempt on each hidden pair by itself."""
        assert proposal.task is not None
        task = proposal.task
        single = [
            asked(replace(task, shown=(), hidden=(pair,)), TaskKind.INDUCTION, self.compat)
            for pair in task.hidden
        ]
        judged = self.student.judge.judge([(t, a.text) for a in proposal.probes for t in single])
        right = [j.outcome is Outcome.RIGHT for j in judged]
        if self.config.azr.induction_estimate == "accuracy":
            return replace(proposal, pass_rate=PassRate(sum(right), len(right)))
        groups = [right[i : i + len(single)] for i in range(0, len(right), len(single))]
        return replace(proposal, pass_rate=PassRate(sum(map(any, groups)), len(groups)))

    def _in_band(self, proposal: Proposal) -> Proposal:
        if proposal.pass_rate is None:
            return proposal
        reason = admission(proposal.pass_rate, self.config.azr)
        return proposal if reason is None else proposal.rejected(reason, str(proposal.pass_rate))

    def _rewarded(self, proposal: Proposal) -> Proposal:
        reward = proposer_reward(
            proposal.rejection, proposal.pass_rate, self.config.azr, self.compat
        )
        if reward > 0 and proposal.task is not None:
            assert isinstance(proposal.request, AzrRequest)
            settings = self.config.azr.intrinsic
            seen = [node.task for node in self.buffers.nodes]
            extra = terms(proposal.task, proposal.request.references, seen, settings)
            reward = combined(reward, extra, settings.combine)
        return replace(proposal, reward=reward)


def filtered(draft: Draft, helpers: tuple[str, ...], config: AzrConfig) -> Draft | Unparsable:
    """A proposed program after AZR's filters: cleaned, renamed, and with its helpers above it."""
    program = draft.program
    names = functions(program)
    if config.rename != "none" and names and "f" not in names:
        program = renamed(program, names[0 if config.rename == "first" else -1], "f")
    if config.single_function and len(names) > 1:
        return Unparsable(f"{len(names)} functions, one wanted")
    if config.refuse_input_in_code and draft.inputs[0] in program:
        return Unparsable("the program holds its input")
    if missing := uncalled(helpers, program):
        return Unparsable(f"does not call {', '.join(missing)}")
    for part in config.strip:
        program = _STRIP[part](program)
    return replace(draft, program=composed(helpers, program) if helpers else program)


_STRIP = {
    "comments": without_comments,
    "prints": without_prints,
    "globals": without_globals,
}


def halves(outputs: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Outputs of the first and of the second round of calls."""
    middle = len(outputs) // 2
    return outputs[:middle], outputs[middle:]


def asked(task: Induction, kind: TaskKind, compat: Compat) -> Task:
    """A task in the form of its kind; deduction and abduction ask about its first pair."""
    pair = (task.shown + task.hidden)[0]
    match kind:
        case TaskKind.INDUCTION if compat.pasted_answers:
            return LegacyInduction(task.program, task.message, task.shown, task.hidden)
        case TaskKind.INDUCTION:
            return task
        case TaskKind.DEDUCTION:
            return (LegacyDeduction if compat.evaluated_answers else Deduction)(task.program, pair)
        case TaskKind.ABDUCTION:
            return (LegacyAbduction if compat.pasted_answers else Abduction)(task.program, pair)


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
