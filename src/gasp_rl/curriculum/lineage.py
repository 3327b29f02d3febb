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

    def add(self, node: Node, vector: np.ndarray) -> None:
        self.nodes.append(node)
        self.index.add(node.id, vector)
