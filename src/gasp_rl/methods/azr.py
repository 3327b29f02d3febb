"""Absolute Zero (AZR, arXiv 2505.03335): self-play without data and without guidance.

One policy in two roles. The proposer writes tasks of three kinds: programs whose output is hard to
predict (deduction) or to invert (abduction), and descriptions of known programs from which they are
hard to infer (induction). It sees earlier tasks as references and no goalpost. Everything descends
from the identity program. Attempts of the solver estimate how learnable a task is; one update in a
step trains both roles, normalised for each (role, kind).

`azr.compat` chooses between what AZR's public code does and its mended form. Not taken over: the
error-prediction task (unused in the paper's runs), think/answer templates (a format score of their
own), and the Qwen-specific parts. On the miniature's base the proposals of deduction and abduction
share one prompt, since it knows no other, and an induction proposal is asked for as a variant with
harder examples, in which that base keeps the program.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gasp_rl.config import Config
from gasp_rl.curriculum.azr_buffers import IDENTITY, StepBuffers, identity_node
from gasp_rl.curriculum.azr_proposals import AzrRequest, Proposer, asked
from gasp_rl.curriculum.lineage import Node
from gasp_rl.curriculum.proposals import Proposal
from gasp_rl.learning.advantages import trr
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.solving import Batch, solve
from gasp_rl.methods.update import (
    learns_from_probes_of,
    student_experiences,
    teacher_experiences,
    update,
)
from gasp_rl.rng import rng
from gasp_rl.roles.student import Student
from gasp_rl.store.records import StepRecord
from gasp_rl.tasks import Induction
from gasp_rl.types import Axis, Role, Stage, TaskKind

SEED_ROUNDS = 20
"""Rounds of proposals after which seeding ends, whether or not there are enough seeds."""


class Azr:
    """The method's state is its buffers; all else is in the engine."""

    def __init__(
        self, config: Config, identity: Induction, student: Student, proposer: Proposer
    ) -> None:
        self.config = config
        self.student = student
        self.proposer = proposer
        self.buffers = StepBuffers(proposer.buffers, identity_node(identity), config.azr)
        self.kinds = [TaskKind(kind) for kind in config.azr.kinds]

    def step(self, step: int, journal: Journal) -> StepRecord:
        """Propose, estimate, solve, and one update from all of it."""
        if step == 1:
            self._seed(step, journal)
        tasks = self._draw_tasks(step) if self.proposer.compat.previous_step else None
        proposed: Batch = ([], [])
        if step > self.config.azr.solver_only_steps:
            proposed = self._propose(step, journal)
        solved = self._solve(step, tasks or self._draw_tasks(step), journal)
        self._update(proposed, solved, journal)
        return journal.record(self.student.engine.version)

    def _seed(self, step: int, journal: Journal) -> None:
        """The untrained policy fills the buffers: programs first, then descriptions of them."""
        with journal.phase("seeds"):
            for stages in ((Stage.DEDUCTION, Stage.ABDUCTION), (Stage.INDUCTION,)):
                wanted, have = self.config.azr.seeds, 0
                for round in range(SEED_ROUNDS):
                    if have >= wanted:
                        break
                    purpose = f"seeds/{stages[0]}/{round}"
                    requests = self._requests(stages, step, purpose)
                    proposals = self.proposer.seeds(requests, step, purpose)
                    self._keep(proposals, step, journal)
                    have += sum(p.accepted for p in proposals)

    def _propose(self, step: int, journal: Journal) -> Batch:
        """One round of proposals of every kind; the valid ones enter the buffers."""
        with journal.phase("propose"):
            stages = [Stage(kind) for kind in self.kinds]
            requests = self._requests(stages, step, "propose")
            proposals = self.proposer.propose(requests, step, "propose")
            ids = self._keep(proposals, step, journal)
            return self._learn_from(proposals, ids, journal)

    def _requests(self, stages: Sequence[Stage], step: int, purpose: str) -> list[AzrRequest]:
        draw = rng(self.config.seed, step, f"{purpose}/references")
        count = self.config.azr.prompts
        return [self._request(stage, step, draw) for stage in stages for _ in range(count)]

    def _request(self, stage: Stage, step: int, draw: np.random.Generator) -> AzrRequest:
        """References of the same kind, or for induction one program that any kind brought."""
        prompts, inputs = self.student.prompts, self.config.teacher.inputs
        if stage is Stage.INDUCTION:
            programs = self.buffers.programs()
            given = programs[int(draw.integers(len(programs)))]
            return AzrRequest(
                stage=stage,
                axis=Axis.FREE,
                parent=given.id,
                goalpost=IDENTITY,
                prompt=prompts.describe(given.task, inputs),
                given=given.task.program,
            )
        references = [n.task for n in self.buffers.references(stage.kind, draw)]
        helpers = self._helpers(step, draw)
        prompt = prompts.propose(stage, references, inputs, helpers)
        while references and self._tokens(prompt) > self.config.azr.prompt_tokens:
            references = references[:-1]
            prompt = prompts.propose(stage, references, inputs, helpers)
        return AzrRequest(
            stage=stage,
            axis=Axis.FREE,
            parent=IDENTITY,
            goalpost=IDENTITY,
            prompt=prompt,
            references=tuple(task.program for task in references),
            helpers=helpers,
        )

    def _helpers(self, step: int, draw: np.random.Generator) -> tuple[str, ...]:
        """Programs that this proposal must call: none unless it is drawn to be composite."""
        settings = self.config.azr.composite
        if not settings.chance or step < settings.first_step or draw.random() >= settings.chance:
            return ()
        simple = [n.task.program for n in self.buffers.programs() if "g_0" not in n.task.program]
        count = min(int(draw.integers(settings.least, settings.most + 1)), len(simple))
        return tuple(simple[int(i)] for i in draw.permutation(len(simple))[:count])

    def _tokens(self, prompt: str) -> int:
        return len(self.student.engine.tokenizer.encode_prompt(prompt))

    def _draw_tasks(self, step: int) -> list[tuple[Node, TaskKind]]:
        """Solver tasks of each kind, new ones and old ones mixed."""
        draw = rng(self.config.seed, step, "solver/tasks")
        return [
            (node, kind) for kind in self.kinds for node in self.buffers.tasks(kind, step, draw)
        ]

    def _solve(self, step: int, drawn: Sequence[tuple[Node, TaskKind]], journal: Journal) -> Batch:
        tasks = [asked(node.task, kind, self.proposer.compat) for node, kind in drawn]
        origins = [node.id for node, _ in drawn]
        with journal.phase("solver"):
            return solve(self.student, tasks, origins, step, self.config, journal)

    def _keep(self, proposals: list[Proposal], step: int, journal: Journal) -> list[str]:
        """Note every proposal; those that stand become tasks of the buffers. Returns all ids."""
        ids = journal.proposals(proposals)
        for id, proposal in zip(ids, proposals, strict=True):
            if proposal.accepted:
                self.proposer.keep(proposal, id, step)
        return ids

    def _learn_from(self, proposals: list[Proposal], ids: list[str], journal: Journal) -> Batch:
        """Proposals, and the attempts that estimated them where the settings say so."""
        batch: Batch = ([], [])
        if self.config.azr.train_proposer:
            temperature = self.config.teacher.sampling.temperature
            batch[0].extend(teacher_experiences(ids, proposals, self.student.engine, temperature))
            batch[1].extend(f"{Role.TEACHER}/{p.request.stage}" for p in proposals)
        thrown_away = self.proposer.compat.previous_step
        for proposal in [] if thrown_away else proposals:
            if learns_from_probes_of(proposal, self.config.student):
                probes = journal.trained_probes(proposal)
                batch[0].extend(
                    student_experiences(
                        probes,
                        proposal.probes,
                        self.config.probe.temperature,
                        self.config.student,
                    )
                )
                batch[1].extend([f"{Role.STUDENT}/{proposal.request.stage}"] * len(probes))
        return batch

    def _update(self, proposed: Batch, solved: Batch, journal: Journal) -> None:
        """One update of both roles: TRR++, then each (role, kind) is given the same weight."""
        experiences, groups = proposed[0] + solved[0], proposed[1] + solved[1]
        lengths = [len(e.completion.tokens_T) for e in experiences]
        weighting = self.config.advantage.weighting
        advantages = trr([e.reward for e in experiences], lengths, groups, weighting)
        if self.config.azr.equal_blocks:
            advantages = advantages * block_weights(lengths, groups)
        with self.student.watch.part("training"):
            metrics = update(self.student.engine, experiences, advantages, self.config)
        journal.updated(experiences, advantages, metrics)


def block_weights(lengths: Sequence[int], groups: Sequence[str]) -> np.ndarray:
    """Weights that make a mean over all tokens the mean of the groups' own token means.

    AZR's micro-batches hold one (role, kind) each, so all count alike however long they are.

    Example: lengths 1 and 3 in two groups: 4 / (2 * 1) = 2 and 4 / (2 * 3) = .6667.
    """
    tokens: Counter[str] = Counter()
    for length, group in zip(lengths, groups, strict=True):
        tokens[group] += length
    return np.array([tokens.total() / (len(tokens) * tokens[group]) for group in groups])
