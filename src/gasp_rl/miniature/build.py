"""Builds an embedded world from a seed: questions, tokenizer, base model, and the slope it has."""

import json
import shutil
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from gasp_rl.config import Config, SamplingConfig
from gasp_rl.engines.protocol import SamplingParams
from gasp_rl.errors import StoreError
from gasp_rl.evals.passk import clopper_pearson, mean_pass_at_k
from gasp_rl.evals.policy import Policy
from gasp_rl.miniature.corpus import Corpus
from gasp_rl.miniature.questions import build_questions
from gasp_rl.miniature.vocabulary import build_tokenizer
from gasp_rl.miniature.world import WORLDS, World
from gasp_rl.problems.schema import load_questions, write_questions
from gasp_rl.rng import rng
from gasp_rl.roles.prompts import FILE, load_prompts
from gasp_rl.roles.student import Student, pass_rate
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks import Induction, Question, retell
from gasp_rl.tasks.judge import Judge
from gasp_rl.types import PassRate, TaskKind

MAX_TOKENS = 96
"""Longest answer of a student in the miniature: depth 9 needs about 50 tokens."""

TEMPERATURES = (1.0, 0.6)
KS = (1, 20, 100)
TAUGHT_DEPTHS = (1, 2, 3)
"""Depths of the warm start's deduction and abduction documents."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopePoint:
    """How a policy does at one depth: counts over all samples, and pass@k over questions."""

    depth: int
    temperature: float
    questions: int
    correct: int
    total: int
    pass_at: dict[int, float]

    def interval(self) -> tuple[float, float]:
        """95% Clopper-Pearson interval of pass@1 over samples, for the questions at hand."""
        return clopper_pearson(self.correct, self.total)


def build(world_name: str, out: Path, seed: int, documents: int, say: Say) -> None:
    """Make everything but the goalposts, which `gasp goalposts mine` finds afterwards."""
    world = WORLDS[world_name]
    model = out / "model"
    if out.exists() and any(out.iterdir()):
        raise StoreError(f"{out}: not empty; choose another folder or remove it yourself")
    started = time.perf_counter()
    model.mkdir(parents=True)
    for split, questions in build_questions(world, seed).items():
        write_questions(out / f"{split}.jsonl.gz", questions)
        say(f"{split}: {len(questions)} questions")
    train_base(world, model, seed, documents, say)
    points = measure_slope(model, out, samples=100, seed=seed)
    kinds = measure_kinds(model, out, samples=100, seed=seed)
    tables = f"{slope_table(points)}\n\n{kinds_table(kinds)}"
    say(tables)
    minutes = (time.perf_counter() - started) / 60
    command = f"gasp miniature build --world {world_name} --seed {seed} --documents {documents}"
    card = {
        "world": asdict(world),
        "seed": seed,
        "documents": documents,
        "command": command,
        "minutes": round(minutes, 1),
        "slope": [asdict(p) for p in points],
        "kinds": {str(k): {d: asdict(r) for d, r in v.items()} for k, v in kinds.items()},
    }
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(_card_text(world, command, minutes, tables), encoding="utf-8")
    say(f"built in {minutes:.1f} minutes: {out}")


def train_base(world: World, model_folder: Path, seed: int, documents: int, say: Say) -> None:
    """Warm start: a fresh model, trained on the world's corpus, saved as a Hugging Face folder."""
    from gasp_rl.miniature.warmstart import WarmStart, batches, build_model, train

    source = resources.files("gasp_rl.miniature") / FILE
    shutil.copyfile(str(source), model_folder / FILE)
    prompts = tomllib.loads(source.read_text(encoding="utf-8"))
    tokenizer = build_tokenizer()
    settings = WarmStart(documents=documents)
    model = build_model(settings, tokenizer, seed)
    parameters = sum(p.numel() for p in model.parameters())
    say(f"base: {parameters:,} parameters, trained with {settings.threads} thread")
    corpus = Corpus(world, prompts, rng(seed, 0, f"{world.name}/corpus"))
    started, mean = time.perf_counter(), 0.0

    def on_step(step: int, loss: float) -> None:
        nonlocal mean
        mean = loss if step == 0 else 0.98 * mean + 0.02 * loss
        if step % 100 == 0:
            seconds = time.perf_counter() - started
            say(
                f"warm start {step * settings.batch:>7,} documents  loss {mean:.3f}  {seconds:.0f} s"
            )

    train(model, batches(corpus, tokenizer, settings), settings, on_step)
    model.save_pretrained(model_folder)
    (model_folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save(str(model_folder / "tokenizer.json"))


def measure_slope(
    model_folder: Path,
    data_folder: Path,
    samples: int,
    seed: int,
    temperatures: Sequence[float] = TEMPERATURES,
) -> list[SlopePoint]:
    """pass@k by depth on the validation split, at each temperature."""
    from gasp_rl.engines.factory import build_engine

    config = _settings()
    questions = load_questions(data_folder / "validation.jsonl.gz").questions
    engine = build_engine(config, model_folder)
    points = []
    with Sandbox(config.sandbox) as sandbox:
        student = Student(engine, load_prompts(model_folder), Judge(sandbox))
        for temperature in temperatures:
            policy = Policy(
                name="base", student=student, temperature=temperature, max_tokens=MAX_TOKENS
            )
            for depth in sorted({int(q.difficulty) for q in questions}):
                chosen = [q for q in questions if q.difficulty == str(depth)]
                rates = policy.pass_rates(chosen, samples, seed)
                points.append(_point(depth, temperature, rates))
    return points


def measure_kinds(
    model_folder: Path, data_folder: Path, samples: int, seed: int
) -> dict[TaskKind, dict[int, PassRate]]:
    """Deduction and abduction, pooled over the validation questions of each depth that the warm
    start taught, at temperature 1: the programs are those of the questions."""
    from gasp_rl.engines.factory import build_engine

    config = _settings()
    questions = load_questions(data_folder / "validation.jsonl.gz").questions
    engine = build_engine(config, model_folder)
    random = rng(seed, 0, "kinds")
    measured: dict[TaskKind, dict[int, PassRate]] = {}
    with Sandbox(config.sandbox) as sandbox:
        student = Student(engine, load_prompts(model_folder), Judge(sandbox))
        params = SamplingParams(max_tokens=MAX_TOKENS, temperature=1.0, seed=seed)
        for kind in (TaskKind.DEDUCTION, TaskKind.ABDUCTION):
            for depth in TAUGHT_DEPTHS:
                chosen = [q for q in questions if q.difficulty == str(depth)]
                tasks = [retell(_as_task(q), kind, random) for q in chosen]
                groups = student.attempt(tasks, samples, params)
                measured.setdefault(kind, {})[depth] = pass_rate([a for g in groups for a in g])
    return measured


def _settings() -> Config:
    """One thread, as in the warm start."""
    return Config(
        student={"sampling": SamplingConfig(max_tokens=MAX_TOKENS)}, engine={"threads": 1}
    )


def _as_task(question: Question) -> Induction:
    assert question.reference is not None  # every question of the miniature has one
    return Induction(question.reference, question.statement, question.shown, question.hidden)


def _point(depth: int, temperature: float, rates: Sequence[PassRate]) -> SlopePoint:
    ks = [k for k in KS if k <= rates[0].total]
    return SlopePoint(
        depth=depth,
        temperature=temperature,
        questions=len(rates),
        correct=sum(r.correct for r in rates),
        total=sum(r.total for r in rates),
        pass_at={k: round(mean_pass_at_k(rates, k).value, 4) for k in ks},
    )


def best_points(points: Sequence[SlopePoint]) -> list[SlopePoint]:
    """The points of the temperature with the best mean pass@20 over depths."""

    def score(temperature: float) -> float:
        return sum(p.pass_at.get(20, p.pass_at[1]) for p in points if p.temperature == temperature)

    best = max({p.temperature: None for p in points}, key=score)
    return [p for p in points if p.temperature == best]


def slope_table(points: Sequence[SlopePoint]) -> str:
    """The slope as a Markdown table, at the better temperature."""
    best = best_points(points)
    ks = list(best[0].pass_at)
    lines = [
        f"Temperature {best[0].temperature}, {best[0].questions} questions of each depth, "
        f"{best[0].total // best[0].questions} samples of each.",
        "",
        "| depth | " + " | ".join(f"pass@{k}" for k in ks) + " | 95% of pass@1 |",
        "|---|" + "---|" * (len(ks) + 1),
    ]
    for point in best:
        low, high = point.interval()
        cells = " | ".join(f"{point.pass_at[k]:.3f}" for k in ks)
        lines.append(f"| {point.depth} | {cells} | {low:.4f} to {high:.4f} |")
    return "\n".join(lines)


def kinds_table(kinds: dict[TaskKind, dict[int, PassRate]]) -> str:
    """pass@1 of the other two kinds as a Markdown table, with 95% intervals over samples."""
    lines = ["| kind | depth | pass@1 | 95% |", "|---|---|---|---|"]
    for kind, by_depth in kinds.items():
        for depth, rate in by_depth.items():
            low, high = clopper_pearson(rate.correct, rate.total)
            lines.append(f"| {kind} | {depth} | {rate.value:.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join(lines)


def _card_text(world: World, command: str, minutes: float, tables: str) -> str:
    return f"""# Base model of the world `{world.name}`

A causal transformer of 0.8 million parameters (transformers' SmolLM3 classes without positional
encoding), trained from scratch on a generated corpus. Built in {minutes:.1f} minutes by

    {command}

The real questions that may be trained on have depth {_list(world.pool_depths)}; goalpost candidates
have depth {_list(world.goalpost_depths)}. A rare family weighs {world.rare_in_corpus} in the corpus
against 1 of a common one; in the real questions a common one weighs {world.common_in_pool} against 1.

{tables}
"""


def _list(depths: Sequence[int]) -> str:
    return ", ".join(str(d) for d in depths)
