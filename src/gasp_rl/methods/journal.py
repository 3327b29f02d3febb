"""What one step leaves behind: records and metrics for the run's store, gathered as it happens."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

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


class Journal:
    """One step's records. Ids depend on step, stage and order alone, so equal runs have equal ids.

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
        self._completions: dict[str, Completion] = {}
        self.evals: list[EvalRecord] = []
        self.goalpost_attempts: list[GoalpostAttempt] = []
        self.metrics: Metrics = {}
        self._started = time.perf_counter()
        self._proposals: dict[str, ProposalRecord] = {}
        self._rollouts: dict[str, RolloutRecord] = {}
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
            self._proposals[id] = _proposal_record(id, self.step, proposal)
            self._completions[id] = proposal.completion
            self._count_completion(proposal.completion)
            if proposal.asked is not None and proposal.probes:
                group = f"{id}/probe"
                self._probe_ids[id_of(proposal)] = self._note_rollouts(
                    Purpose.PROBE, proposal.asked, id, group, proposal.probes
                )
            ids.append(id)
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
            value = float(advantage)
            if experience.id in self._proposals:
                record = self._proposals[experience.id]
                self._proposals[experience.id] = replace(record, advantage=value)
            else:
                rollout = self._rollouts[experience.id]
                self._rollouts[experience.id] = replace(
                    rollout, reward=experience.reward, advantage=value
                )
        for name, number in metrics.items():
            self._updates[name].append(number)

    def record(self, version: int) -> StepRecord:
        """The whole step. Wall times are kept apart from what must be equal in equal runs."""
        metrics = (
            self._proposal_metrics()
            | self._student_metrics()
            | {name: float(np.mean(values)) for name, values in sorted(self._updates.items())}
            | self.metrics
        )
        self._keep_traces()
        return StepRecord(
            step=self.step,
            seconds=time.perf_counter() - self._started - self._seconds["eval"],
            version=version,
            metrics={k: v for k, v in metrics.items() if math.isfinite(v)},
            times=self._times(),
            state=b"",
            proposals=list(self._proposals.values()),
            rollouts=list(self._rollouts.values()),
            tasks=list(self._tasks.values()),
            evals=self.evals,
            goalpost_attempts=self.goalpost_attempts,
        )

    def _times(self) -> Metrics:
        """Seconds of each phase and of its parts: what no seed decides."""
        return {f"time/{name}": seconds for name, seconds in self._seconds.items()}

    def _keep_traces(self) -> None:
        """Tokens with log-probabilities of whole completions, trained ones first, until the step's
        share is used up: they cannot be compressed, and a long completion has thousands."""
        if self._pieces is None:
            return
        left = self._trace_tokens
        for id in sorted(self._completions, key=lambda id: self._written(id).advantage is None):
            completion, record = self._completions[id], self._written(id)
            left -= len(completion.tokens_T)
            if left < 0:
                break
            ends = self._pieces.ends(completion.tokens_T, record.completion)
            if ends is not None:
                self._keep_trace(
                    id,
                    TokenTrace(ids=completion.tokens_T, logprobs=completion.logprobs_T, ends=ends),
                )

    def _written(self, id: str) -> ProposalRecord | RolloutRecord:
        return self._proposals[id] if id in self._proposals else self._rollouts[id]

    def _keep_trace(self, id: str, trace: TokenTrace) -> None:
        if id in self._proposals:
            self._proposals[id] = replace(self._proposals[id], trace=trace)
        else:
            self._rollouts[id] = replace(self._rollouts[id], trace=trace)

    def _next(self, counter: str) -> int:
        self._counts[counter] += 1
        return self._counts[counter] - 1

    def _count_completion(self, completion: Completion) -> None:
        tokens = len(completion.tokens_T)
        self._counts["completions"] += 1
        self._counts["tokens"] += tokens
        self._counts["truncated"] += completion.finish is Finish.LENGTH
        self.progress.advance(1, tokens)

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
        ids = []
        for attempt in attempts:
            id = rollout_id(self.step, purpose, self._next(f"id/{purpose}"))
            self._rollouts[id] = RolloutRecord(
                id=id,
                step=self.step,
                role=Role.STUDENT,
                kind=task.kind,
                purpose=purpose,
                task_key=task.key,
                group=group,
                prompt=attempt.prompt,
                completion=attempt.text,
                outcome=attempt.judgement.outcome,
                tokens=len(attempt.completion.tokens_T),
                finish=attempt.completion.finish,
                version=attempt.completion.version,
                origin=origin,
                detail=attempt.judgement.detail,
            )
            self._completions[id] = attempt.completion
            self._count_completion(attempt.completion)
            self._counts["timeouts"] += attempt.judgement.detail.startswith("TIMEOUT")
            ids.append(id)
        return ids

    def _proposal_metrics(self) -> Metrics:
        proposals = list(self._proposals.values())
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

    def _student_metrics(self) -> Metrics:
        rollouts = list(self._rollouts.values())
        metrics: Metrics = {
            "tokens/sampled": float(self._counts["tokens"]),
            "rollouts/student": float(len(rollouts)),
            "rollouts/trained": float(sum(r.advantage is not None for r in rollouts)),
        }
        if completions := self._counts["completions"]:
            metrics["tokens/completion_mean"] = self._counts["tokens"] / completions
            metrics["tokens/truncated"] = self._counts["truncated"] / completions
        if rollouts:
            metrics["sandbox/timeouts"] = self._counts["timeouts"] / len(rollouts)
        trained = [r for r in rollouts if r.advantage is not None]
        for kind in TaskKind:
            rights = [r.outcome is Outcome.RIGHT for r in trained if r.kind is kind]
            if rights:
                metrics[f"student/correct/{kind}"] = _mean(rights)
        by_size: defaultdict[int, list[bool]] = defaultdict(list)
        groups: defaultdict[str, list[bool]] = defaultdict(list)
        for rollout in rollouts:
            right = rollout.outcome is Outcome.RIGHT
            groups[rollout.group].append(right)
            if program := self._tasks[rollout.task_key].program:
                by_size[program_size(program)].append(right)
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


def _proposal_record(id: str, step: int, proposal: Proposal) -> ProposalRecord:
    draft, task, near = proposal.draft, proposal.task, proposal.neighbour
    return ProposalRecord(
        id=id,
        step=step,
        stage=proposal.request.stage,
        axis=proposal.request.axis,
        parent=proposal.request.parent,
        goalpost=proposal.request.goalpost,
        prompt=proposal.request.prompt,
        completion=proposal.text,
        rejection=proposal.rejection,
        reward=proposal.reward,
        finish=proposal.completion.finish,
        tokens=len(proposal.completion.tokens_T),
        program=draft.program if draft else "",
        message=draft.message if draft else "",
        shown=task.shown if task else (),
        hidden=task.hidden if task else (),
        detail=proposal.detail,
        pass_rate=proposal.pass_rate,
        nearest=near.id if near else None,
        similarity=near.similarity if near else None,
        key=task.key if task else None,
        group=f"{step}.{proposal.request.stage}/{proposal.request.parent}",
        version=proposal.completion.version,
    )


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
