"""Whether a teacher follows its guide: steps that lemmas share with their own goalpost and with others.

    python bench/guidance.py RUN...

For each fifth of a run: lemmas written and accepted, the share of their steps (family and constant)
that the goalpost has which the teacher was shown, and the same for the run's other goalposts. The
excess is what the guide added: at 0 the teacher might as well have been shown anything. Works on
runs of the embedded worlds, by the words of their statements. Without guidance the "goalposts" are
the easy questions that lemmas were asked for.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from gasp_rl.store.reader import RunReader
from gasp_rl.store.views import NodeSummary

EVERYTHING = 10**9
PARTS = 5


def steps_of(statement: str) -> Counter[str]:
    """The phrases of a statement such as `Take x; add 3; reverse`, without its first."""
    return Counter(statement.strip().split("; ")[1:])


def shared(task: Counter[str], guide: Counter[str]) -> float:
    """Share of the task's steps that the guide has, each as often as it has it."""
    return (task & guide).total() / task.total()


def rows_of(run: Path) -> list[str]:
    """A line of the table for each fifth of the run's steps."""
    with RunReader.open(run) as reader:
        lemmas = [n for n in reader.proposals(limit=EVERYTHING) if n.stage == "lemma"]
        asked = {n.goalpost for n in lemmas}  # a control's run has its true goalposts as well
        guides = {r.id: steps_of(r.question) for r in reader.goalpost_records() if r.id in asked}
        last = reader.last_step()
    lines = []
    for part in range(PARTS):
        low, high = part * last // PARTS, (part + 1) * last // PARTS
        within = [n for n in lemmas if low < n.step <= high]
        cells = [
            cell
            for chosen in (within, [n for n in within if n.verdict == "accepted"])
            for cell in excess(chosen, guides)
        ]
        lines.append(f"| {run.name} | {low + 1}-{high} | " + " | ".join(cells) + " |")
    return lines


def excess(lemmas: Sequence[NodeSummary], guides: dict[str, Counter[str]]) -> list[str]:
    """How many lemmas, what they share with their own guide, and with the others on average."""
    told = [(steps_of(n.label), guides[n.goalpost]) for n in lemmas if steps_of(n.label)]
    if not told:
        return ["0", "", ""]
    having = Counter(
        (step, copy) for guide in guides.values() for step, n in guide.items() for copy in range(n)
    )
    own = [shared(task, guide) for task, guide in told]
    everywhere = [
        sum(having[step, copy] for step, n in task.items() for copy in range(n)) / task.total()
        for task, _ in told
    ]
    others = [
        (total - one) / max(1, len(guides) - 1) for total, one in zip(everywhere, own, strict=True)
    ]
    return [str(len(told)), f"{fmean(own):.2f}", f"{fmean(others):.2f}"]


def main() -> None:
    print("| run | steps | lemmas written | own | others | accepted | own | others |")
    print("|---|---|---|---|---|---|---|---|")
    for run in sys.argv[1:]:
        print("\n".join(rows_of(Path(run))), flush=True)


if __name__ == "__main__":
    main()
