"""What one step leaves behind: records and metrics for the run's store, gathered as it happens."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np

from gasp_rl.curriculum.proposals import Proposal
from gasp_rl.engines.pieces import Pieces
from gasp_rl.engines.protocol import Completion
from gasp_rl.methods.update import Experience
from gasp_rl.roles.student import Attempt
from gasp_rl.stopwatch import Stopwatch
from gasp_rl.store.progress import Progress
from gasp_rl.store.records import (
    EvalRecord,
    GoalpostAttempt,
    ProposalRecord,
    Purpose,
    RolloutRecord,
    StepRecord,
    TaskRecord,
    TokenTrace,
    proposal_id,
    rollout_id,
)
from gasp_rl.tasks import Induction, Question, Task
from gasp_rl.types import Finish, Metrics, Outcome, PassRate, Rejection, Role, Stage, TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Attempts at one task with the ids of their records."""

    purpose: Purpose
    task: TaskRecord
    origin: str
    name: str
    ids: Sequence[str]
    attempts: Sequence[Attempt]


class Journal:
    """One step's records. The step's course only notes what there is; the records are made at its
    end, each once. Ids depend on step, stage and order alone, so equal runs have equal ids.

    watch: what times the parts of the work; phases are divided by it.
    pieces, trace_tokens: what cuts texts into tokens, and how many tokens of the step keep their
    log-probabilities (see `store.trace_tokens`).
    """

    def __init__(
        self,
        step: int,
        progress: Progress,
        watch: Stopwatch | None = None,
        pieces: Pieces | None = None,
        trace_tokens: int = 0,
    ) -> None:
        self.step = step
        self.progress = progress
        self._watch = watch or Stopwatch()
        self._pieces = pieces
        self._trace_tokens = trace_tokens
        self.evals: list[EvalRecord] = []
        self.goalpost_attempts: list[GoalpostAttempt] = []
        self.metrics: Metrics = {}
        self._started = time.perf_counter()
        self._proposals: dict[str, Proposal] = {}
        self._groups: list[_Group] = []
        self._worth: dict[str, tuple[float, float]] = {}
        self._tasks: dict[str, TaskRecord] = {}
        self._counts: Counter[str] = Counter()
        self._updates: defaultdict[str, list[float]] = defaultdict(list)
        self._probe_ids: dict[int, list[str]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and the parts of it, and tell whoever watches."""
        self.progress.start_phase(name)
        start, before = time.perf_counter(), self._watch.seconds()
        yield
        self._seconds[name] += time.perf_counter() - start
        for part, seconds in self._watch.since(before).items():
            self._seconds[f"{name}/{part}"] += seconds

    def proposals(self, proposals: Sequence[Proposal]) -> list[str]:
        """Note one round of proposals with their probes; returns their ids in order."""
        ids = []
        for proposal in proposals:
            stage = proposal.request.stage
            id = proposal_id(self.step, stage, self._next(f"id/{stage}"))
            self._proposals[id] = proposal
            if proposal.asked is not None and proposal.probes:
                group = f"{id}/probe"
                self._probe_ids[id_of(proposal)] = self._note_rollouts(
                    Purpose.PROBE, proposal.asked, id, group, proposal.probes
                )
            ids.append(id)
        self._count([proposal.completion for proposal in proposals])
        return ids

    def trained_probes(self, proposal: Proposal) -> list[str]:
        """Ids of a proposal's probes, when they are trained on too."""
        return self._probe_ids[id_of(proposal)]

    def attempts(
        self,
        purpose: Purpose,
        items: Sequence[Task | Question],
        origins: Sequence[str],
        groups: Sequence[Sequence[Attempt]],
    ) -> list[str]:
        """Note the student's attempts; returns their ids, flat and in order."""
        ids: list[str] = []
        for i, (item, origin, group) in enumerate(zip(items, origins, groups, strict=True)):
            ids += self._note_rollouts(purpose, item, origin, f"{self.step}.{purpose}/{i}", group)
        return ids

    def goalposts_tested(
        self, policy: str, rates: Mapping[str, PassRate], temperature: float
    ) -> None:
        """Note a test of goalposts, by their ids, that the method itself learns from."""
        self.goalpost_attempts += [
            GoalpostAttempt(
                step=self.step,
                goalpost=id,
                policy=policy,
                correct=rate.correct,
                total=rate.total,
                temperature=temperature,
            )
            for id, rate in rates.items()
        ]

    def updated(
        self, experiences: Sequence[Experience], advantages: np.ndarray, metrics: Metrics
    ) -> None:
        """Note one update: what each completion was worth, and the engine's metrics."""
        for experience, advantage in zip(experiences, advantages, strict=True):
            self._worth[experience.id] = experience.reward, float(advantage)
        for name, number in metrics.items():
            self._updates[name].append(number)

    def record(self, version: int) -> StepRecord:
        """The whole step. Wall times are kept apart from what must be equal in equal runs."""
        traces = self._traces()
        proposals = [self._proposal_record(id, traces) for id in self._proposals]
        rollouts = [
            self._rollout_record(group, id, attempt, traces)
            for group in self._groups
            for id, attempt in zip(group.ids, group.attempts, strict=True)
        ]
        metrics = (
            _proposal_metrics(proposals)
            | self._student_metrics(rollouts)
            | {name: float(np.mean(values)) for name, values in sorted(self._updates.items())}
            | self.metrics
        )
        return StepRecord(
            step=self.step,
            seconds=time.perf_counter() - self._started - self._seconds["eval"],
            version=version,
            metrics={k: v for k, v in metrics.items() if math.isfinite(v)},
            times=self._times(),
            state=b"",
            proposals=proposals,
            rollouts=rollouts,
            tasks=list(self._tasks.values()),
            evals=self.evals,
            goalpost_attempts=self.goalpost_attempts,
        )

    def _times(self) -> Metrics:
        """Seconds of each phase and of its parts: what no seed decides."""
        return {f"time/{name}": seconds for name, seconds in self._seconds.items()}

    def _traces(self) -> dict[str, TokenTrace]:
        """Tokens with log-probabilities of whole completions, trained ones first, until the step's
        share is used up: they cannot be compressed, and a long completion has thousands."""
        if self._pieces is None:
            return {}
        written: dict[str, Proposal | Attempt] = dict(self._proposals)
        for group in self._groups:
            written.update(zip(group.ids, group.attempts, strict=True))
        rest = (id for id in written if id not in self._worth)
        traces, left = {}, self._trace_tokens
        for id in chain(self._worth, rest):
            completion = written[id].completion
            tokens = completion.tokens_T
            left -= len(tokens)
            if left < 0:
                break
            ends = self._pieces.ends(tokens, written[id].text)
            if ends is not None:
                traces[id] = TokenTrace(ids=tokens, logprobs=completion.logprobs_T, ends=ends)
        return traces

    def _next(self, counter: str) -> int:
        self._counts[counter] += 1
        return self._counts[counter] - 1

    def _count(self, completions: Sequence[Completion]) -> None:
        tokens = sum(len(c.tokens_T) for c in completions)
        self._counts["completions"] += len(completions)
        self._counts["tokens"] += tokens
        self._counts["truncated"] += sum(c.finish is Finish.LENGTH for c in completions)
        self.progress.advance(len(completions), tokens)

    def _note_rollouts(
        self,
        purpose: Purpose,
        item: Task | Question,
        origin: str,
        group: str,
        attempts: Sequence[Attempt],
    ) -> list[str]:
        task = _task_record(item)
        self._tasks[task.key] = task
        first = self._counts[f"id/{purpose}"]
        self._counts[f"id/{purpose}"] += len(attempts)
        ids = [rollout_id(self.step, purpose, first + i) for i in range(len(attempts))]
        self._groups.append(
            _Group(
                purpose=purpose, task=task, origin=origin, name=group, ids=ids, attempts=attempts
            )
        )
        self._count([attempt.completion for attempt in attempts])
        return ids

    def _proposal_record(self, id: str, traces: Mapping[str, TokenTrace]) -> ProposalRecord:
        proposal = self._proposals[id]
        draft, task, near = proposal.draft, proposal.task, proposal.neighbour
        request, completion = proposal.request, proposal.completion
        return ProposalRecord(
            id=id,
            step=self.step,
            stage=request.stage,
            axis=request.axis,
            parent=request.parent,
            goalpost=request.goalpost,
            prompt=request.prompt,
            completion=proposal.text,
            rejection=proposal.rejection,
            reward=proposal.reward,
            finish=completion.finish,
            tokens=len(completion.tokens_T),
            program=draft.program if draft else "",
            message=draft.message if draft else "",
            shown=task.shown if task else (),
            hidden=task.hidden if task else (),
            detail=proposal.detail,
            pass_rate=proposal.pass_rate,
            advantage=self._worth[id][1] if id in self._worth else None,
            nearest=near.id if near else None,
            similarity=near.similarity if near else None,
            key=task.key if task else None,
            group=f"{self.step}.{request.stage}/{request.parent}",
            version=completion.version,
            trace=traces.get(id),
        )

    def _rollout_record(
        self, group: _Group, id: str, attempt: Attempt, traces: Mapping[str, TokenTrace]
    ) -> RolloutRecord:
        completion, judgement = attempt.completion, attempt.judgement
        reward, advantage = self._worth.get(id, (None, None))
        return RolloutRecord(
            id=id,
            step=self.step,
            role=Role.STUDENT,
            kind=group.task.kind,
            purpose=group.purpose,
            task_key=group.task.key,
            group=group.name,
            prompt=attempt.prompt,
            completion=attempt.text,
            outcome=judgement.outcome,
            tokens=len(completion.tokens_T),
            finish=completion.finish,
            version=completion.version,
            origin=group.origin,
            detail=judgement.detail,
            reward=reward,
            advantage=advantage,
            trace=traces.get(id),
        )

    def _student_metrics(self, rollouts: Sequence[RolloutRecord]) -> Metrics:
        metrics: Metrics = {
            "tokens/sampled": float(self._counts["tokens"]),
            "rollouts/student": float(len(rollouts)),
            "rollouts/trained": float(sum(r.advantage is not None for r in rollouts)),
        }
        if completions := self._counts["completions"]:
            metrics["tokens/completion_mean"] = self._counts["tokens"] / completions
            metrics["tokens/truncated"] = self._counts["truncated"] / completions
        if rollouts:
            timeouts = sum(r.detail.startswith("TIMEOUT") for r in rollouts)
            metrics["sandbox/timeouts"] = timeouts / len(rollouts)
        trained = [r for r in rollouts if r.advantage is not None]
        for kind in TaskKind:
            rights = [r.outcome is Outcome.RIGHT for r in trained if r.kind is kind]
            if rights:
                metrics[f"student/correct/{kind}"] = _mean(rights)
        sizes = {t.key: program_size(t.program) for t in self._tasks.values() if t.program}
        by_size: defaultdict[int, list[bool]] = defaultdict(list)
        groups: defaultdict[str, list[bool]] = defaultdict(list)
        for rollout in rollouts:
            right = rollout.outcome is Outcome.RIGHT
            groups[rollout.group].append(right)
            if rollout.task_key in sizes:
                by_size[sizes[rollout.task_key]].append(right)
        for size, rights in sorted(by_size.items()):
            metrics[f"student/correct_at/{size}"] = _mean(rights)
        if groups:
            metrics["group/all_right"] = _mean([all(g) for g in groups.values()])
            metrics["group/all_wrong"] = _mean([not any(g) for g in groups.values()])
        return metrics


def id_of(proposal: Proposal) -> int:
    """Identity of a proposal within its round."""
    return id(proposal)


def program_size(program: str) -> int:
    """Statements between `def` and `return`, counted as lines: the miniature's depth."""
    lines = [line for line in program.splitlines() if line.strip()]
    return max(0, len(lines) - 2)


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _proposal_metrics(proposals: Sequence[ProposalRecord]) -> Metrics:
    if not proposals:
        return {}
    fallen = Counter(p.rejection for p in proposals)
    metrics: Metrics = {
        "propose/written": float(len(proposals)),
        "propose/accepted": float(fallen[None]),
        **{f"propose/reject/{reason}": float(fallen[reason]) for reason in Rejection},
    }
    similarities = [p.similarity for p in proposals if p.similarity is not None]
    metrics["novelty/nearest_mean"] = _mean(similarities)
    for stage in Stage:
        written = [p for p in proposals if p.stage is stage]
        accepted = [p for p in written if p.rejection is None]
        probed = [p.pass_rate.value for p in written if p.pass_rate is not None]
        if written:
            metrics[f"{stage}/accept_rate"] = len(accepted) / len(written)
            metrics[f"{stage}/pass_rate"] = _mean(probed)
            metrics[f"{stage}/size"] = _mean([program_size(p.program) for p in accepted])
            metrics[f"teacher/reward/{stage}"] = _mean([p.reward for p in written])
    return metrics


def _task_record(item: Task | Question) -> TaskRecord:
    if isinstance(item, Question):
        return TaskRecord(
            key=item.key,
            kind=TaskKind.INDUCTION,
            program="",
            message=item.statement,
            shown=item.shown,
            hidden=item.hidden,
        )
    if isinstance(item, Induction):
        return TaskRecord(
            key=item.key,
            kind=item.kind,
            program=item.program,
            message=item.message,
            shown=item.shown,
            hidden=item.hidden,
        )
    return TaskRecord(
        key=item.key, kind=item.kind, program=item.program, message="", shown=(item.example,)
    )
