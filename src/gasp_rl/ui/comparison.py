"""The evaluation with controls as a table and plain sentences."""

from collections.abc import Sequence
from typing import Protocol

from gasp_rl.evals.compare import GroupResult
from gasp_rl.types import PassRate


class MeasuredPolicy(Protocol):
    """One policy's part of the comparison."""

    @property
    def temperature(self) -> float: ...

    @property
    def solved(self) -> PassRate: ...


class ComparedPolicies(Protocol):
    """What is shown: `methods.controls.Comparison` is one."""

    @property
    def base(self) -> MeasuredPolicy: ...

    @property
    def trained(self) -> MeasuredPolicy: ...

    @property
    def samples(self) -> int: ...

    @property
    def validated(self) -> bool: ...

    def groups(self, k: int) -> list[GroupResult]: ...

    def tagged(self, k: int) -> dict[str, list[GroupResult]]: ...


def comparison_view(comparison: ComparedPolicies) -> str:
    """Text for a terminal, a log or a Markdown file."""
    k = min(20, comparison.samples)
    ones, twenties = comparison.groups(1), comparison.groups(k)
    lines = [
        "",
        f"{comparison.samples} samples of each question; 95% intervals over questions.",
        _temperatures(comparison),
    ]
    lines += ["", *_depth_lines(ones, twenties, k)] if ones else []
    for tag, groups in comparison.tagged(k).items():
        lines += ["", *_tag_lines(tag, groups, k)]
    lines += ["", *_goalpost_lines(comparison), "", *_sentences(twenties, k)]
    return "\n".join(lines)


def _temperatures(comparison: ComparedPolicies) -> str:
    base, trained = comparison.base.temperature, comparison.trained.temperature
    if not comparison.validated:
        return f"Both at temperature {base}: there are no validation questions to choose one by."
    return f"Base at its best validation temperature ({base}), trained at its own ({trained})."


def _depth_lines(ones: list[GroupResult], twenties: list[GroupResult], k: int) -> list[str]:
    lines = [
        f"| {_kind(ones)} | pass@1 base | pass@1 trained | pass@{k} base | pass@{k} trained |"
        f" change in pass@{k} |",
        "|---|---|---|---|---|---|",
    ]
    for one, twenty in zip(ones, twenties, strict=True):
        change = twenty.difference
        lines.append(
            f"| {one.label} | {one.base.value:.3f} | {one.trained.value:.3f} | "
            f"{twenty.base.value:.3f} | {twenty.trained.value:.3f} | "
            f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}] |"
        )
    return lines


def _tag_lines(tag: str, groups: list[GroupResult], k: int) -> list[str]:
    """One kind of question alone: a mean over kinds can hide that they move apart."""
    lines = [
        f"| {_kind(groups)}, {tag} | questions | pass@{k} base | pass@{k} trained | change |",
        "|---|---|---|---|---|",
    ]
    for group in groups:
        change = group.difference
        lines.append(
            f"| {group.label} | {group.base.questions} | {group.base.value:.3f} | "
            f"{group.trained.value:.3f} | "
            f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}] |"
        )
    return lines


def _goalpost_lines(comparison: ComparedPolicies) -> list[str]:
    lines = []
    for name, solved in (
        ("base, fresh samples", comparison.base.solved),
        ("trained", comparison.trained.solved),
    ):
        low, high = solved.interval()
        lines.append(
            f"goalposts solved in {comparison.samples} samples each, {name}: "
            f"{solved.correct} of {solved.total} ({low:.1%} to {high:.1%})"
        )
    return lines


def _sentences(groups: list[GroupResult], k: int) -> list[str]:
    """What improved and what did not, judged by the paired interval alone."""
    verdicts: dict[str, list[str]] = {}
    for group in groups:
        verdicts.setdefault(group.difference.verdict, []).append(group.label)
    words = {"better": "improved", "worse": "fell", "no difference shown": "shows no difference"}
    return [
        f"pass@{k} {words[verdict]} at {_kind(groups)} {', '.join(labels)}"
        for verdict, labels in verdicts.items()
    ]


def _kind(groups: Sequence[GroupResult]) -> str:
    """What the labels are: an embedded world counts its depths, other sets have words."""
    return "depth" if all(group.label.isdecimal() for group in groups) else "difficulty"
