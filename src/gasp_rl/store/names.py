"""The names of metrics: what each means, in which unit. Every view explains itself from here."""

from dataclasses import dataclass

from gasp_rl.types import TaskKind


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric, or a family of them where `name` ends in `*`. `unit` is one of share, count,
    nats, seconds, tokens, bytes, number."""

    name: str
    unit: str
    meaning: str


METRIC_NAMES: tuple[MetricName, ...] = (
    MetricName("curriculum/goalposts_reached", "count", "goalposts with a right sample so far"),
    MetricName("curriculum/nodes", "count", "accepted lemmas and lifts so far"),
    MetricName("propose/written", "count", "proposals sampled in the step"),
    MetricName("propose/accepted", "count", "proposals accepted in the step"),
    MetricName("propose/reject/*", "count", "proposals of the step that fell for this reason"),
    MetricName("lemma/accept_rate", "share", "accepted among proposed lemmas"),
    MetricName("lift/accept_rate", "share", "accepted among proposed lifts"),
    *(
        MetricName(f"{kind}/accept_rate", "share", f"accepted among proposed {kind} tasks (AZR)")
        for kind in TaskKind
    ),
    MetricName("lemma/pass_rate", "share", "mean probe pass rate of accepted lemmas"),
    MetricName("lift/pass_rate", "share", "mean probe pass rate of accepted lifts"),
    MetricName("novelty/nearest_mean", "number", "mean cosine to the nearest accepted task"),
    MetricName("student/reward/*", "number", "mean reward of attempts of this kind"),
    MetricName("student/correct/*", "share", "right among attempts of this kind"),
    MetricName("student/correct_at/*", "share", "right among attempts with this label or depth"),
    MetricName("rlvr/correct", "share", "right among attempts at real questions"),
    MetricName("lemma/alignment", "share", "mean alignment of accepted lemmas to their goalposts"),
    MetricName("lift/alignment", "share", "mean alignment of accepted lifts to their goalposts"),
    MetricName("lift/off_axis", "share", "accepted I/O lifts whose program is not their lemma's"),
    MetricName("ladder/tried", "count", "highest lifts that were probed afresh in the step"),
    MetricName("ladder/mastered", "count", "of these, mastered: the next lift may start there"),
    MetricName("ladder/rung", "count", "lifts above the lemma in the longest chain so far"),
    MetricName("renewal/retired", "count", "goalposts that are training questions by now"),
    MetricName("renewal/reserve", "count", "questions that wait for a place among goalposts"),
    MetricName("teacher/reward/*", "number", "mean reward of proposals of this stage"),
    MetricName("group/all_right", "share", "groups whose attempts are all right: no signal"),
    MetricName("group/all_wrong", "share", "groups whose attempts are all wrong: no signal"),
    MetricName("policy/entropy", "nats", "mean entropy of the sampled distribution per token"),
    MetricName("policy/logprob_gap", "nats", "mean |log-probability of trainer - of sampler|"),
    MetricName("policy/grad_norm", "number", "gradient norm before clipping"),
    MetricName("policy/kl_to_start", "nats", "KL estimate to the initial weights per token"),
    MetricName("tokens/sampled", "tokens", "tokens sampled in the step"),
    MetricName("tokens/completion_mean", "tokens", "mean completion length"),
    MetricName("tokens/truncated", "share", "completions cut at max_tokens"),
    MetricName("rollouts/student", "count", "completions of the student in the step, with probes"),
    MetricName("rollouts/trained", "count", "completions of the student that were trained on"),
    MetricName("sandbox/timeouts", "share", "programs stopped at a time limit"),
    MetricName("sandbox/seconds_p95", "seconds", "95th percentile of a program's wall time"),
    MetricName("time/*", "seconds", "wall time of this phase of the step, or of a part of it"),
    MetricName("gpu/memory_peak", "bytes", "largest GPU memory held"),
    MetricName("cpu/memory_peak", "bytes", "what the process grew by since before the model"),
    MetricName("eval/*", "share", "evaluation of the policy after this step"),
    MetricName("seconds", "seconds", "wall time of the step, without its trial"),
)

HEADLINE: tuple[str, ...] = (
    "curriculum/goalposts_reached",
    "curriculum/nodes",
    "lemma/accept_rate",
    "lift/accept_rate",
    "novelty/nearest_mean",
    "student/correct/induction",
    "student/correct/deduction",
    "student/correct/abduction",
    "group/dead",
    "policy/entropy",
    "policy/logprob_gap",
    "seconds",
)
"""The twelve that one watches; `group/dead` is all_right + all_wrong."""


def describe(name: str) -> MetricName:
    """Meaning and unit of a metric; an unknown name describes itself."""
    if name == "group/dead":
        return MetricName(name, "share", "groups without signal: all right or all wrong")
    for known in METRIC_NAMES:
        if name == known.name:
            return known
    for known in METRIC_NAMES:
        if known.name.endswith("*") and name.startswith(known.name[:-1]):
            return MetricName(name, known.unit, known.meaning)
    return MetricName(name, "number", name.replace("/", ", ").replace("_", " "))
