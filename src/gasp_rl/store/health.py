"""Health rules over the last steps: value, threshold, meaning and advice, in sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from gasp_rl.store.views import StepSummary

WINDOW = 10
FEW_STEPS = 3


class Level(StrEnum):
    """How serious a finding is; `gasp status` exits with 0, 2 or 3."""

    GREEN = "green"  # as it should be
    AMBER = "amber"  # worth a look
    RED = "red"  # learning little or nothing, or about to fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's answer. `metric` names the curve that is the evidence."""

    rule: str
    level: Level
    value: float
    threshold: float
    meaning: str
    advice: str
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Compares one value over the window with an amber and a red threshold."""

    name: str
    metric: str
    value: Callable[[Sequence[StepSummary]], float | None]
    amber: float
    red: float
    above: bool = True
    meaning: str
    advice: str

    def check(self, steps: Sequence[StepSummary]) -> Finding | None:
        """None while the metric was not recorded."""
        value = self.value(steps)
        if value is None or value != value:
            return None
        sign = 1 if self.above else -1
        level = Level.GREEN
        if sign * value > sign * self.amber:
            level = Level.RED if sign * value > sign * self.red else Level.AMBER
        return Finding(
            rule=self.name,
            level=level,
            value=value,
            threshold=self.red if level is Level.RED else self.amber,
            meaning=self.meaning,
            advice=self.advice,
            metric=self.metric,
        )


def check_health(
    steps: Sequence[StepSummary],
    *,
    seconds: Sequence[float] | None = None,
    free_bytes: int | None = None,
    window: int = WINDOW,
) -> list[Finding]:
    """Findings of every rule that can be judged, worst first.

    The last `window` steps count; with fewer than three steps only the disk is judged.
    seconds: of every step of the run, where `steps` leaves out the middle (`RunReader.outline`).
    """
    recent = list(steps)[-window:]
    all_seconds = [s.seconds for s in steps] if seconds is None else seconds
    found = []
    if len(recent) >= FEW_STEPS:
        found = [finding for rule in RULES if (finding := rule.check(recent))]
        found += [f for f in (_entropy(steps, recent), _step_time(all_seconds, recent)) if f]
    if free_bytes is not None:
        found.append(_disk(free_bytes))
    order = (Level.RED, Level.AMBER, Level.GREEN)
    return sorted(found, key=lambda finding: order.index(finding.level))


def worst(findings: Sequence[Finding]) -> Level:
    """The most serious level, green when nothing was found."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.RED, Level.AMBER) if level in levels), Level.GREEN)


def is_dead(steps: Sequence[StepSummary], window: int = WINDOW) -> str | None:
    """Why a run no longer learns, in one sentence, or None. For `--stop-when-dead`."""
    if len(steps) < window:
        return None
    fatal = {"dead groups", "acceptance", "log-probability gap"}
    for finding in check_health(steps, window=window):
        if finding.level is Level.RED and finding.rule in fatal:
            return f"{finding.rule} {finding.value:.3g}: {finding.meaning}"
    return None


def _mean(name: str) -> Callable[[Sequence[StepSummary]], float | None]:
    def value(steps: Sequence[StepSummary]) -> float | None:
        values = [s.metrics[name] for s in steps if name in s.metrics]
        return fmean(values) if values else None

    return value


def _dead_groups(steps: Sequence[StepSummary]) -> float | None:
    right, wrong = _mean("group/all_right")(steps), _mean("group/all_wrong")(steps)
    return None if right is None or wrong is None else right + wrong


def _ratio(part: str, whole: str) -> Callable[[Sequence[StepSummary]], float | None]:
    def value(steps: Sequence[StepSummary]) -> float | None:
        total = sum(s.metrics.get(whole, 0.0) for s in steps)
        return sum(s.metrics.get(part, 0.0) for s in steps) / total if total else None

    return value


RULES: tuple[Rule, ...] = (
    Rule(
        name="dead groups",
        metric="group/dead",
        value=_dead_groups,
        amber=0.8,
        red=0.95,
        meaning="most tasks are all right or all wrong, so their attempts carry no signal",
        advice="raise probe.n or narrow the bands; a lower temperature is not the cure",
    ),
    Rule(
        name="acceptance",
        metric="lemma/accept_rate",
        value=_ratio("propose/accepted", "propose/written"),
        amber=0.05,
        red=0.005,
        above=False,
        meaning="nearly every proposal is refused, so the student gets little to learn from",
        advice="open the funnel: the first tall bar names the cause",
    ),
    Rule(
        name="duplicates",
        metric="propose/reject/duplicate",
        value=_ratio("propose/reject/duplicate", "propose/written"),
        amber=0.3,
        red=0.7,
        meaning="the teacher repeats itself",
        advice="raise teacher.sampling.temperature or draw more goalposts in a round",
    ),
    Rule(
        name="log-probability gap",
        metric="policy/logprob_gap",
        value=_mean("policy/logprob_gap"),
        amber=0.05,
        red=0.3,
        meaning="sampler and trainer disagree about the same tokens",
        advice="use one number format for both, or set loss.tis_cap",
    ),
    Rule(
        name="truncation",
        metric="tokens/truncated",
        value=_mean("tokens/truncated"),
        amber=0.2,
        red=0.6,
        meaning="completions end at max_tokens, not at their own end",
        advice="raise sampling.max_tokens, or look for loops in the rollout reader",
    ),
    Rule(
        name="sandbox timeouts",
        metric="sandbox/timeouts",
        value=_mean("sandbox/timeouts"),
        amber=0.05,
        red=0.3,
        meaning="programs are stopped at the time limit",
        advice="check sandbox.cpu_seconds and the machine's load",
    ),
)


def _entropy(steps: Sequence[StepSummary], recent: Sequence[StepSummary]) -> Finding | None:
    start = _mean("policy/entropy")(list(steps)[:FEW_STEPS])
    now = _mean("policy/entropy")(recent)
    if not start or now is None:
        return None
    share = now / start
    return Finding(
        rule="entropy",
        level=Level.RED if share < 0.1 else Level.AMBER if share < 1 / 3 else Level.GREEN,
        value=share,
        threshold=0.1 if share < 0.1 else 1 / 3,
        meaning="entropy against that of the first steps: the policy grows too sure of itself",
        advice="lower optim.lr, or set loss.entropy_coef",
        metric="policy/entropy",
    )


def _step_time(seconds: Sequence[float], recent: Sequence[StepSummary]) -> Finding | None:
    if len(seconds) < 2 * FEW_STEPS:
        return None
    usual = sorted(seconds)[len(seconds) // 2]
    now = sorted(s.seconds for s in recent)[len(recent) // 2]
    ratio = now / usual if usual else 1.0
    return Finding(
        rule="step time",
        level=Level.AMBER if ratio > 2 else Level.GREEN,
        value=ratio,
        threshold=2.0,
        meaning="the last steps against the run's median step",
        advice="compare time/* : longer completions, a slower sandbox or another job",
        metric="seconds",
    )


def _disk(free: int) -> Finding:
    gib = free / 2**30
    return Finding(
        rule="disk",
        level=Level.RED if gib < 1 else Level.AMBER if gib < 5 else Level.GREEN,
        value=gib,
        threshold=1.0 if gib < 1 else 5.0,
        meaning="GiB free where the run is written",
        advice="free some space; a full disk stops the run at the last committed step",
        metric="seconds",
    )
