"""One round of proposals: written, parsed, run twice, compared, probed, judged by the band.

Every check looks only at what is still standing and gives each proposal that falls its reason, so
the reasons of a round add up to its funnel.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gasp_rl.config import BandConfig, Config
from gasp_rl.curriculum.lineage import Buffers, Node, Request
from gasp_rl.curriculum.novelty import Neighbour
from gasp_rl.curriculum.rewards import band_rejection, teacher_reward
from gasp_rl.engines.protocol import Completion, Engine, SamplingParams
from gasp_rl.rng import seed_for
from gasp_rl.roles.student import Attempt, Student, pass_rate, sample_texts
from gasp_rl.roles.teacher import Draft, Unparsable, parse_proposal
from gasp_rl.sandbox import Result, Validate, Verdict
from gasp_rl.tasks import Induction, Task
from gasp_rl.tasks.judge import RunsJobs
from gasp_rl.types import Example, PassRate, Rejection, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One completion of the teacher and what became of it so far.

    rejection: the first check that fell, None while standing (and for good once accepted).
    neighbour: the most similar task that was accepted before it.
    asked:     the task in the form in which the student was probed.
    """

    request: Request
    completion: Completion
    text: str
    draft: Draft | None = None
    task: Induction | None = None
    asked: Task | None = None
    vector: np.ndarray | None = None
    neighbour: Neighbour | None = None
    probes: tuple[Attempt, ...] = ()
    pass_rate: PassRate | None = None
    rejection: Rejection | None = None
    detail: str = ""
    reward: float = 0.0

    @property
    def accepted(self) -> bool:
        return self.rejection is None

    def rejected(self, reason: Rejection, detail: str = "") -> "Proposal":
        return replace(self, rejection=reason, detail=detail)


def _reason(result: Result) -> Rejection:
    """Which reason a verdict is; all others mean that the program fails on its own inputs."""
    match result.verdict:
        case Verdict.UNSAFE:
            return Rejection.UNSAFE
        case Verdict.IMPURE if result.detail.startswith("import "):
            return Rejection.UNSAFE  # refused for what it imports, before it ran
        case Verdict.NONDETERMINISTIC | Verdict.IMPURE:
            return Rejection.NON_DETERMINISTIC
        case _:
            return Rejection.FAILS


@dataclass(frozen=True, slots=True)
class Teacher:
    """The policy in the role of the teacher, with the checks that its proposals must pass.

    describes: whether a message tells of a program, where the language of messages can be checked.
    engine:    writes the proposals; None where one policy plays both roles.
    """

    student: Student
    sandbox: RunsJobs
    buffers: Buffers
    config: Config
    describes: Callable[[str, str], bool] | None = None
    engine: Engine | None = None

    def propose(self, requests: Sequence[Request], step: int, purpose: str) -> list[Proposal]:
        """Sample `proposals_per_prompt` for each request and judge them all.

        purpose: names the round within the step; with seed and step it decides every draw.
        """
        proposals = self.draft(requests, step, purpose)
        proposals = self._standing(proposals, lambda standing: self._probe(standing, step, purpose))
        proposals = [self._in_band(p) for p in proposals]
        return [self._rewarded(p) for p in self._without_twins(proposals)]

    def draft(self, requests: Sequence[Request], step: int, purpose: str) -> list[Proposal]:
        """The checks that need no student: what stands has a task, but no pass rate yet."""
        proposals = [self._parse(p) for p in self._write(requests, step, purpose)]
        proposals = self._standing(proposals, self._validate)
        return self._standing(proposals, self._compare)

    def band(self, stage: Stage) -> BandConfig:
        return self.config.teacher.lemma if stage is Stage.LEMMA else self.config.teacher.lift

    def keep(self, proposal: Proposal, id: str, step: int) -> Node:
        """An accepted proposal becomes a node of the buffers."""
        assert proposal.task is not None
        assert proposal.vector is not None
        node = Node(
            id=id,
            stage=proposal.request.stage,
            axis=proposal.request.axis,
            parent=proposal.request.parent,
            goalpost=proposal.request.goalpost,
            task=proposal.task,
            pass_rate=proposal.pass_rate,
            step=step,
        )
        self.buffers.add(node, proposal.vector)
        return node

    def _write(self, requests: Sequence[Request], step: int, purpose: str) -> list[Proposal]:
        settings = self.config.teacher
        params = SamplingParams(
            max_tokens=settings.sampling.max_tokens,
            temperature=settings.sampling.temperature,
            seed=seed_for(self.config.seed, step, f"{purpose}/write"),
        )
        prompts = [request.prompt for request in requests]
        engine = self.engine or self.student.engine
        with self.student.watch.part("sampling"):
            groups = sample_texts(engine, prompts, settings.proposals_per_prompt, params)
        return [
            Proposal(request=request, completion=completion, text=text)
            for request, group in zip(requests, groups, strict=True)
            for completion, text in group
        ]

    def _parse(self, proposal: Proposal) -> Proposal:
        return self._read(proposal, parse_proposal(proposal.text, self.config.teacher.inputs))

    def _read(self, proposal: Proposal, draft: Draft | Unparsable) -> Proposal:
        if isinstance(draft, Unparsable):
            return proposal.rejected(Rejection.UNPARSABLE, draft.reason)
        read = replace(proposal, draft=draft)
        if self.describes is not None and not self.describes(draft.message, draft.program):
            return read.rejected(Rejection.MISDESCRIBED, "the message tells of another program")
        return read

    def _validate(self, proposals: list[Proposal]) -> list[Proposal]:
        """Run each program in two fresh processes; its outputs make the task."""
        drafts = [p.draft for p in proposals if p.draft is not None]
        results = self.sandbox.map([Validate(d.program, d.inputs) for d in drafts])
        return [self._with_task(p, r) for p, r in zip(proposals, results, strict=True)]

    def _with_task(self, proposal: Proposal, result: Result) -> Proposal:
        if not result.ok:
            return proposal.rejected(
                _reason(result), f"{result.verdict}: {result.detail}".rstrip(": ")
            )
        assert proposal.draft is not None
        pairs = tuple(
            Example(text, output.decode())
            for text, output in zip(proposal.draft.inputs, result.outputs, strict=True)
        )
        return replace(proposal, task=self._task(proposal, pairs))

    def _task(self, proposal: Proposal, pairs: Sequence[Example]) -> Induction:
        assert proposal.draft is not None
        shown = self._shown(proposal)
        return Induction(
            proposal.draft.program,
            proposal.draft.message,
            tuple(pairs[:shown]),
            tuple(pairs[shown:]),
        )

    def _shown(self, proposal: Proposal) -> int:
        """How many pairs the student sees."""
        return self.config.teacher.shown

    def _compare(self, proposals: list[Proposal]) -> list[Proposal]:
        """Novelty against both buffers, before any probe is spent."""
        tasks = [p.task for p in proposals if p.task is not None]
        vectors = self.buffers.index.vectors([(t.message, t.program) for t in tasks])
        compared = []
        for proposal, vector in zip(proposals, vectors, strict=True):
            near = self._nearest(proposal, vector)
            proposal = replace(proposal, vector=vector, neighbour=near)
            if near is not None and self._too_similar(near.similarity):
                detail = f"{near.similarity:.3f} similar to {near.id}"
                proposal = proposal.rejected(Rejection.DUPLICATE, detail)
            compared.append(proposal)
        return compared

    def _nearest(self, proposal: Proposal, vector: np.ndarray) -> Neighbour | None:
        return self.buffers.index.nearest(vector)

    def _too_similar(self, similarity: float) -> bool:
        return self.config.novelty.enabled and similarity > self.config.novelty.threshold

    def _probe(self, proposals: list[Proposal], step: int, purpose: str) -> list[Proposal]:
        """Estimate the student's pass rate."""
        params = SamplingParams(
            max_tokens=self.config.student.sampling.max_tokens,
            temperature=self._probe_temperature(),
            seed=seed_for(self.config.seed, step, f"{purpose}/probe"),
        )
        tasks = [self._asked(p) for p in proposals]
        groups = self.student.attempt(tasks, self.config.probe.n, params)
        return [
            replace(proposal, asked=task, probes=tuple(group), pass_rate=pass_rate(group))
            for proposal, task, group in zip(proposals, tasks, groups, strict=True)
        ]

    def _asked(self, proposal: Proposal) -> Task:
        """The form in which the student is probed: induction."""
        assert proposal.task is not None
        return proposal.task

    def _probe_temperature(self) -> float:
        return self.config.probe.temperature

    def _in_band(self, proposal: Proposal) -> Proposal:
        if proposal.pass_rate is None:
            return proposal
        reason = band_rejection(proposal.pass_rate, self.band(proposal.request.stage))
        return proposal if reason is None else proposal.rejected(reason, str(proposal.pass_rate))

    def _without_twins(self, proposals: list[Proposal]) -> list[Proposal]:
        """Of accepted proposals of a stage that resemble each other, the round's first one stays."""
        kept: defaultdict[Stage, list[np.ndarray]] = defaultdict(list)
        checked = []
        for proposal in proposals:
            vector = proposal.vector
            if proposal.accepted and vector is not None:
                before = kept[proposal.request.stage]
                nearest = max((float(v @ vector) for v in before), default=-1.0)
                if self._too_similar(nearest):
                    detail = f"{nearest:.3f} similar to one of the same round"
                    proposal = proposal.rejected(Rejection.DUPLICATE, detail)
                else:
                    before.append(vector)
            checked.append(proposal)
        return checked

    def _rewarded(self, proposal: Proposal) -> Proposal:
        reward = teacher_reward(
            proposal.rejection,
            proposal.pass_rate,
            self.band(proposal.request.stage),
            self.config.teacher,
        )
        return replace(proposal, reward=reward)

    @staticmethod
    def _standing(
        proposals: list[Proposal], check: Callable[[list[Proposal]], list[Proposal]]
    ) -> list[Proposal]:
        """Apply a batch check to the proposals that no earlier check has rejected."""
        standing = [p for p in proposals if p.accepted]
        checked = iter(check(standing) if standing else [])
        return [next(checked) if p.accepted else p for p in proposals]
