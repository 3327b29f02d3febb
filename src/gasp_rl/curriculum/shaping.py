"""What the paper leaves unpunished: lifts that leave their axis, proposals that help no goalpost.

Both act on rewards alone: what was accepted stays accepted. Off by default.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from gasp_rl.config import Config
from gasp_rl.curriculum.alignment import Measure
from gasp_rl.curriculum.axes import on_io_axis
from gasp_rl.curriculum.lineage import Buffers
from gasp_rl.curriculum.proposals import Proposal
from gasp_rl.tasks import Question
from gasp_rl.tasks.judge import RunsJobs
from gasp_rl.types import Axis, Metrics, Stage


@dataclass(slots=True)
class Shaping:
    """Changes the rewards of a round's accepted proposals, and counts what it saw.

    guides:  what lemmas were asked for, by id. measure: None leaves alignment out.
    """

    config: Config
    buffers: Buffers
    sandbox: RunsJobs
    guides: Mapping[str, Question]
    measure: Measure | None = None
    _seen: defaultdict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = defaultdict(list)

    def __call__(self, proposals: list[Proposal]) -> list[Proposal]:
        if self.measure is not None:
            proposals = self._aligned(proposals, self.measure)
        if self.config.teacher.axis_check != "off":
            proposals = self._on_axis(proposals)
        return proposals

    def metrics(self) -> Metrics:
        """Means over the step; counting begins anew."""
        means = {name: float(np.mean(values)) for name, values in self._seen.items()}
        self._seen.clear()
        return means

    def _aligned(self, proposals: list[Proposal], measure: Measure) -> list[Proposal]:
        """Reward times 1 - w + w score; unchanged where the measure cannot tell."""
        weight = self.config.alignment.weight
        accepted = [p for p in proposals if p.accepted]
        pairs = [(self.guides[p.request.goalpost], p.task) for p in accepted if p.task is not None]
        scores = iter(measure(pairs) if pairs else [])
        shaped = []
        for proposal in proposals:
            if proposal.accepted and (score := next(scores)) is not None:
                self._seen[f"{proposal.request.stage}/alignment"].append(score)
                proposal = replace(proposal, reward=proposal.reward * (1 - weight + weight * score))
            shaped.append(proposal)
        return shaped

    def _on_axis(self, proposals: list[Proposal]) -> list[Proposal]:
        """Lifts on the I/O axis that changed their lemma's program: counted, and if set punished."""
        chosen = [p for p in proposals if p.accepted and _asked_for_io(p)]
        pairs = [
            (self.buffers.node(p.request.parent).task, p.task) for p in chosen if p.task is not None
        ]
        kept = iter(on_io_axis(pairs, self.sandbox))
        shaped = []
        for proposal in proposals:
            if proposal.accepted and _asked_for_io(proposal):
                stayed = next(kept)
                self._seen["lift/off_axis"].append(float(not stayed))
                if not stayed:
                    proposal = replace(
                        proposal,
                        detail="off the I/O axis: another program than its lemma's",
                        reward=self._reward_off_axis(proposal.reward),
                    )
            shaped.append(proposal)
        return shaped

    def _reward_off_axis(self, reward: float) -> float:
        teacher = self.config.teacher
        return teacher.reward_outside if teacher.axis_check == "punish" else reward


def _asked_for_io(proposal: Proposal) -> bool:
    return proposal.request.stage is Stage.LIFT and proposal.request.axis is Axis.IO
