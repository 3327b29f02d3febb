"""AZR's buffers: tasks of each kind with the step they came from, and what is drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gasp_rl.config import AzrConfig
from gasp_rl.curriculum.lineage import Buffers, Node
from gasp_rl.tasks import Induction
from gasp_rl.types import Axis, Stage, TaskKind

IDENTITY = "identity"
"""Id of the identity program: the seed that all of AZR's tasks descend from."""


def identity_node(task: Induction) -> Node:
    """The identity program as the first task of each kind."""
    return Node(
        id=IDENTITY,
        stage=Stage.INDUCTION,
        axis=Axis.FREE,
        parent=IDENTITY,
        goalpost=IDENTITY,
        task=task,
        pass_rate=None,
    )


@dataclass(frozen=True, slots=True)
class StepBuffers:
    """What self-play has accepted, seen by kind and step. Holds nothing of its own."""

    buffers: Buffers
    identity: Node
    config: AzrConfig

    def of(self, kind: TaskKind) -> list[Node]:
        """Tasks of a kind in their order, the identity program first, at most `capacity`."""
        nodes = [self.identity, *(n for n in self.buffers.nodes if kind in _kinds(n))]
        limit = self.config.capacity
        return nodes[:limit] if self.config.keep == "oldest" else nodes[-limit:]

    def programs(self) -> list[Node]:
        """Tasks that brought a program of their own: what an induction proposal may describe."""
        own = (n for n in self.buffers.nodes if n.stage is not Stage.INDUCTION)
        return [self.identity, *own]

    def references(self, kind: TaskKind, random: np.random.Generator) -> list[Node]:
        """K earlier tasks of this kind, without replacement."""
        by_age = self.config.reference_weights == "age"
        return draw(self.of(kind), self.config.references, random, by_age=by_age)

    def tasks(self, kind: TaskKind, now: int, random: np.random.Generator) -> list[Node]:
        """What the solver gets in step `now`: at most `azr.tasks` different tasks."""
        return mix(self.of(kind), self.config, now, random)


def stamp(node: Node) -> int:
    """The step that a task counts as: 0 for a seed."""
    return node.step if node.pass_rate is not None else 0


def draw(
    nodes: Sequence[Node], count: int, random: np.random.Generator, *, by_age: bool = False
) -> list[Node]:
    """`count` different nodes (or all), uniformly or with weight step + 1."""
    count = min(count, len(nodes))
    if count == 0:
        return []
    weights = np.array([stamp(n) + 1.0 if by_age else 1.0 for n in nodes])
    chosen = random.choice(len(nodes), size=count, replace=False, p=weights / weights.sum())
    return [nodes[int(i)] for i in chosen]


def mix(
    nodes: Sequence[Node], config: AzrConfig, now: int, random: np.random.Generator
) -> list[Node]:
    """At most `config.tasks` nodes by `config.mixing`; new ones come from the last `window` steps.

    Example: with 10 tasks wanted, 8 new and 90 old, `max-new` takes the 8 and 2 old ones, `half-new`
    5 and 5.
    """
    if config.mixing in ("uniform", "age"):
        return draw(nodes, config.tasks, random, by_age=config.mixing == "age")
    new = [n for n in nodes if stamp(n) and stamp(n) >= now - config.window]
    most = config.tasks if config.mixing == "max-new" else config.tasks // 2
    taken = draw(new, most, random)
    chosen = {n.id for n in taken}
    rest = [n for n in nodes if n.id not in chosen]
    return taken + draw(rest, config.tasks - len(taken), random)


def _kinds(node: Node) -> tuple[TaskKind, ...]:
    """A seed program starts both of the buffers that hold programs."""
    if node.pass_rate is None and node.stage is not Stage.INDUCTION:
        return TaskKind.DEDUCTION, TaskKind.ABDUCTION
    return (node.stage.kind,)
