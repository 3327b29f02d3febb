"""The curriculum in the terminal: the tree goalpost, lemma, lift; or one node in full."""

import difflib
from typing import TYPE_CHECKING

from gasp_rl.store.reader import RunReader
from gasp_rl.store.views import GoalpostSummary, NodeDetail, NodeSummary, ProposalFilter
from gasp_rl.types import PassRate
from gasp_rl.ui.safe import block, one_line
from gasp_rl.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text
    from rich.tree import Tree

CHILDREN = 50
GOALPOSTS = 200
LEGEND = (
    "p: right among the probes, with its 95% interval; r: the teacher's reward; used: later attempts, "
    "now: right among the last of them; io, f: what was to change"
)


def run_tree(
    reader: RunReader, *, rejected: bool = False, goalposts: int = GOALPOSTS
) -> "RenderableType":
    """The tree of a run: each goalpost that has proposals, with its lemmas and their lifts."""
    from rich.console import Group
    from rich.text import Text
    from rich.tree import Tree

    board = reader.goalposts()
    built = [g for g in board if g.lemmas or g.rejected]
    goalposts_of_run = [g for g in board if g.is_goalpost]
    solved = sum(g.solved > 0 for g in goalposts_of_run)
    title = (
        f"{one_line(reader.path.name)}  step {reader.last_step()}  "
        f"{solved} of {counted(len(goalposts_of_run), 'goalpost')} solved"
    )
    root = Tree(Text(title, "bold"))
    for goalpost in built[:goalposts]:
        branch = root.add(_goalpost_line(goalpost))
        _add_children(branch, reader, goalpost.id, rejected)
    if len(built) > goalposts:
        root.add(Text(f"... {len(built) - goalposts} more goalposts", "dim"))
    bare = sum(g not in built for g in goalposts_of_run)
    if bare:
        root.add(Text(f"{counted(bare, 'goalpost')} without proposals", "dim"))
    return Group(root, Text(LEGEND, "dim")) if built else root


def node_view(reader: RunReader, id: str) -> "RenderableType":
    """One node, goalpost or rollout in full, by its id."""
    from rich.console import Group

    if reader.has_goalpost(id):
        goalpost = reader.goalpost(id)
        attempts = [
            f"step {a.step} {one_line(a.policy)}: {_rate(PassRate(a.correct, a.total))}"
            for a in reader.goalpost_attempts(id)
        ]
        return Group(
            _goalpost_line(goalpost.summary),
            _section("question", goalpost.question),
            _section("attempts", "\n".join(attempts) or "none yet"),
        )
    if not reader.has_proposal(id):
        return _rollout_view(reader, id)
    node = reader.node(id)
    return Group(
        _node_line(node.summary),
        _section("lineage", " > ".join([node.summary.goalpost, *reader.lineage(id)])),
        _section("message", node.message),
        _section("program" + _difference_title(node), _program_or_diff(reader, node)),
        _section("examples", _examples(node)),
        _section("later attempts", _uses(reader, id)),
        *([_section("why it fell", node.detail)] if node.detail else []),
        _section("prompt", node.prompt),
        _section("completion", node.completion),
    )


def _add_children(branch: "Tree", reader: RunReader, parent: str, rejected: bool) -> None:
    from rich.text import Text

    where = ProposalFilter(parent=parent, verdict=None if rejected else "accepted")
    children = reader.proposals(where, limit=CHILDREN)
    for child in children:
        twig = branch.add(_node_line(child))
        if child.lifts or (rejected and child.rejected):
            _add_children(twig, reader, child.id, rejected)
    hidden = reader.count_proposals(where) - len(children)
    if hidden:
        branch.add(Text(f"... {hidden} more", "dim"))


def _goalpost_line(goalpost: GoalpostSummary) -> "Text":
    from rich.text import Text

    if not goalpost.is_goalpost:
        return Text.assemble(
            (one_line(goalpost.id, 40), "bold"),
            f"  {one_line(goalpost.label, 70)}  ",
            (f"{one_line(goalpost.source, 20)}, no goalpost", "dim"),
            no_wrap=True,
            overflow="ellipsis",
        )
    state = f"solved at step {goalpost.first_solved}" if goalpost.solved else "unsolved"
    measured = [("base", goalpost.base), ("trained", goalpost.trained)]
    rates = "".join(f"  {name} {_rate(rate)}" for name, rate in measured if rate is not None)
    return Text.assemble(
        (one_line(goalpost.id, 40), "bold"),
        "  ",
        (state, "bold green" if goalpost.solved else "dim"),
        f"{rates}  {one_line(goalpost.label, 70)}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _node_line(node: NodeSummary) -> "Text":
    from rich.text import Text

    if node.verdict != "accepted":
        why = f"{node.verdict} {_rate(node.pass_rate)}" if node.pass_rate else node.verdict
        if node.verdict == "duplicate" and node.similarity is not None:
            why += f" {node.similarity:.2f} of {one_line(node.nearest or '?', 40)}"
        return Text.assemble(
            (f"x {node.id}  {why}", "dim"),
            f"  {one_line(node.label, 60)}",
            no_wrap=True,
            overflow="ellipsis",
        )
    used = f"  used {node.used}x" if node.used else ""
    if node.recent:
        used += f", now {_rate(node.recent)}"
    return Text.assemble(
        (node.stage, "cyan" if node.stage == "lemma" else "magenta"),
        f" {node.id}  {node.axis}  p {_rate(node.pass_rate)}  r {node.reward:.2f}{used}",
        f"  {one_line(node.label, 60)}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _rate(rate: PassRate | None) -> str:
    if rate is None:
        return "-"
    low, high = rate.interval()
    return f"{rate} [{low:.0%}-{high:.0%}]"


def _section(title: str, text: str) -> "RenderableType":
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    return Group(Text(), Text(title, "bold cyan"), Padding(Text(block(text)), (0, 0, 0, 2)))


def _difference_title(node: NodeDetail) -> str:
    return ", against its parent" if node.summary.stage == "lift" else ""


def _program_or_diff(reader: RunReader, node: NodeDetail) -> str:
    if node.summary.stage != "lift":
        return node.program
    before = reader.node(node.summary.parent).program.splitlines()
    after = node.program.splitlines()
    lines = difflib.unified_diff(before, after, n=1000, lineterm="")
    return "\n".join(list(lines)[3:]) or node.program


def _examples(node: NodeDetail) -> str:
    rows = [("shown ", e) for e in node.shown] + [("hidden", e) for e in node.hidden]
    return "\n".join(f"{which} f({one_line(e.input)}) = {one_line(e.output)}" for which, e in rows)


def _uses(reader: RunReader, id: str) -> str:
    rows = [f"step {use.step:5d}  {use.kind:10s} {_rate(use.rate)}" for use in reader.uses(id)]
    return "\n".join(rows) or "none yet"


def _rollout_view(reader: RunReader, id: str) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    rollout = reader.rollout(id)
    head = rollout.summary
    reward = "-" if head.reward is None else f"{head.reward:g}"
    line = f"{id}  {head.role} {head.kind}  {head.verdict}  reward {reward}  {head.tokens} tokens"
    return Group(
        Text(line, "bold"),
        _section("prompt", rollout.prompt),
        _section("completion", rollout.completion),
        *([_section("verdict", rollout.detail)] if rollout.detail else []),
    )
