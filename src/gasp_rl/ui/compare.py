"""Runs side by side: what differs in their settings, their curves over seeds, who solved what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from gasp_rl.errors import StoreError
from gasp_rl.rng import rng
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import EvalRecord
from gasp_rl.ui.safe import one_line

RESAMPLES = 2000
NOT_A_SETTING = {"name", "seed", "hardware", "track"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that differs, with its value in each run as JSON text."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Mean difference of two runs over the questions that both answered, with a 95% interval.

    tag: which of them, where tags tell questions apart; empty for all.
    """

    benchmark: str
    tag: str
    first: str
    second: str
    questions: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that `gasp compare` says.

    groups:   names of runs that differ in seed only.
    metrics:  last value of each shared metric, by run.
    solved:   number of goalposts solved, by run; `only`: those that no other run solved.
    """

    runs: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    differences: tuple[Difference, ...]
    metrics: Mapping[str, tuple[float | None, ...]]
    solved: tuple[int, ...]
    only: tuple[tuple[str, ...], ...]
    paired: tuple[PairedDifference, ...]


def compare_runs(readers: Sequence[RunReader]) -> Comparison:
    """Compare two or more runs. Raises `StoreError` for fewer."""
    if len(readers) < 2:
        raise StoreError("compare needs two runs or more; name them after `gasp compare`")
    configs = [reader.config() for reader in readers]
    names = tuple(reader.path.name for reader in readers)
    last = [steps[-1].metrics if (steps := reader.steps()) else {} for reader in readers]
    solved = [set(reader.goalposts_solved()) for reader in readers]
    return Comparison(
        runs=names,
        groups=tuple(tuple(names[i] for i in group) for group in group_by_config(configs)),
        differences=tuple(config_difference(configs)),
        metrics={
            name: tuple(metrics.get(name) for metrics in last)
            for name in sorted(set().union(*last))
        },
        solved=tuple(len(ids) for ids in solved),
        only=tuple(
            tuple(sorted(ids - set().union(*(o for o in solved if o is not ids)))) for ids in solved
        ),
        paired=tuple(paired_differences(readers)),
    )


def comparison_text(comparison: Comparison) -> str:
    """The comparison as aligned text tables."""
    names = [one_line(name, 32) for name in comparison.runs]
    parts = [
        _table("settings that differ", names, [(d.key, *d.values) for d in comparison.differences]),
        _table(
            "last step",
            names,
            [(k, *(_number(v) for v in row)) for k, row in comparison.metrics.items()],
        ),
        _table(
            "goalposts",
            names,
            [
                ("solved", *(str(n) for n in comparison.solved)),
                ("solved by this run only", *(str(len(ids)) for ids in comparison.only)),
            ],
        ),
    ]
    if comparison.paired:
        lines = [
            f"  {one_line(p.benchmark)}{f', {one_line(p.tag)}' if p.tag else ''}: "
            f"{one_line(p.second)} - {one_line(p.first)} "
            f"= {p.mean:+.4f} [{p.low:+.4f}, {p.high:+.4f}] over {p.questions} questions"
            for p in comparison.paired
        ]
        parts.append("\n".join(["paired differences (95% bootstrap over questions)", *lines]))
    return "\n\n".join(parts)


def config_difference(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Settings whose values are not the same in every run.

    Example::

        config_difference([{"a": {"b": 1}}, {"a": {"b": 2}}])   # [Difference("a.b", ("1", "2"))]
    """
    flat = [_flatten(config) for config in configs]
    keys = sorted(set().union(*flat)) if flat else []
    rows = [Difference(key, tuple(_text(f.get(key)) for f in flat)) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def group_by_config(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Indices of runs that differ in nothing but name and seed: one group is one band of seeds."""
    groups: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        settings = {k: v for k, v in _flatten(config).items() if k not in NOT_A_SETTING}
        settings.pop("store.dir", None)
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(index)
    return list(groups.values())


def paired_differences(readers: Sequence[RunReader]) -> list[PairedDifference]:
    """Each later run against the first, by benchmark, at each run's last evaluation; where tags tell
    a benchmark's questions apart, also for the questions of each tag.

    The interval is a bootstrap over questions (2,000 resamples, fixed seed), so it speaks of the
    questions and not of the training seed.
    """
    results = [_last_results(reader) for reader in readers]
    first, tags = readers[0].path.name, question_tags(readers[0].evals())
    rows = []
    for reader, result in list(zip(readers, results, strict=True))[1:]:
        for benchmark in sorted(set(results[0]) & set(result)):
            before, after = results[0][benchmark], result[benchmark]
            common = sorted(set(before) & set(after))
            for tag in ["", *sorted({tags.get((benchmark, q), "") for q in common} - {""})]:
                chosen = [q for q in common if tag in ("", tags.get((benchmark, q)))]
                if not chosen:
                    continue
                gaps = np.array([after[q] - before[q] for q in chosen])
                draws = rng(0, 0, "compare").integers(0, len(gaps), (RESAMPLES, len(gaps)))
                low, high = np.quantile(gaps[draws].mean(axis=1), [0.025, 0.975])
                rows.append(
                    PairedDifference(
                        benchmark=benchmark,
                        tag=tag,
                        first=first,
                        second=reader.path.name,
                        questions=len(gaps),
                        mean=float(gaps.mean()),
                        low=float(low),
                        high=float(high),
                    )
                )
    return rows


def question_tags(rows: Sequence[EvalRecord]) -> dict[tuple[str, str], str]:
    """(benchmark, question) -> its tags in one text, of benchmarks whose questions differ in them."""
    tags = {(row.benchmark, row.question): ", ".join(row.tags) for row in rows}
    kinds: dict[str, set[str]] = {}
    for (benchmark, _), tag in tags.items():
        kinds.setdefault(benchmark, set()).add(tag)
    return {key: tag for key, tag in tags.items() if len(kinds[key[0]]) > 1}


def _last_results(reader: RunReader) -> dict[str, dict[str, float]]:
    """benchmark -> question -> pass rate of the latest evaluated policy, mean over temperatures."""
    latest: dict[str, int] = {}
    rates: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in reader.evals():
        latest[row.benchmark] = max(row.step, latest.get(row.benchmark, 0))
        by_question = rates.setdefault((row.benchmark, row.step), {})
        by_question.setdefault(row.question, []).append(row.correct / row.total)
    return {
        benchmark: {q: fmean(values) for q, values in rates[benchmark, step].items()}
        for benchmark, step in latest.items()
    }


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _text(value: Any) -> str:
    return json.dumps(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _table(title: str, names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return f"{title}: none"
    cells = [("", *names), *(tuple(one_line(c, 40) for c in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names) + 1)]
    lines = [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])
