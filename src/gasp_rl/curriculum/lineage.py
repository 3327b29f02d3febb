"""Who came from whom: requests to the teacher, and the accepted tasks of both buffers."""

from dataclasses import dataclass, field

import numpy as np

from gasp_rl.curriculum.novelty import NoveltyIndex
from gasp_rl.tasks import Induction
from gasp_rl.types import Axis, PassRate, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt for the teacher.

    parent:   id of the goalpost (lemma) or of the lemma's node (lift).
    goalpost: id of the goalpost at the root.
    """

    stage: Stage
    axis: Axis
    parent: str
    goalpost: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An accepted proposal: a task of self-play with its place in the tree.

    pass_rate: None for a seed, which no student was asked about.
    step:      when it was accepted.
    """

    id: str
    stage: Stage
    axis: Axis
    parent: str
    goalpost: str
    task: Induction
    pass_rate: PassRate | None
    step: int = 0


@dataclass(slots=True)
class Buffers:
    """Accepted lemmas and lifts in the order of acceptance, with the novelty index over both."""

    index: NoveltyIndex
    nodes: list[Node] = field(default_factory=list)
    _by_id: dict[str, Node] = field(default_factory=dict)

    def add(self, node: Node, vector: np.ndarray) -> None:
        self.nodes.append(node)
        self._by_id[node.id] = node
        self.index.add(node.id, vector)

    def node(self, id: str) -> Node:
        return self._by_id[id]

    def rung(self, node: Node) -> int:
        """Lifts from the lemma up to this node: 0 for a lemma, 1 for a lift of the paper."""
        rung = 0
        while node.stage is Stage.LIFT:
            rung, node = rung + 1, self._by_id[node.parent]
        return rung

    def highest_rung(self) -> int:
        return max(map(self.rung, self.nodes), default=0)

    def frontier(self, top: int) -> list[Node]:
        """The highest lift towards each goalpost, the latest of equals, where it has less than `top`
        lifts: from there a ladder goes on."""
        highest: dict[str, tuple[int, Node]] = {}
        for node in self.nodes:
            rung = self.rung(node)
            if rung and rung >= highest.get(node.goalpost, (1, node))[0]:
                highest[node.goalpost] = (rung, node)
        return [node for rung, node in highest.values() if rung < top]
