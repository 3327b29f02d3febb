"""What a run would do: its settings, its plan and rendered prompts. Loads no weights.

It needs neither the model folder nor the data: what is absent is named, and stood in for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.curriculum.azr_compat import COMPAT
from gasp_rl.curriculum.azr_proposals import asked
from gasp_rl.errors import DataError
from gasp_rl.methods.held_out import load_held_out
from gasp_rl.methods.session import load_goalposts, load_guides, load_pool
from gasp_rl.miniature import assets
from gasp_rl.planning.plan import budget_line, make_plan, render
from gasp_rl.planning.work import draws
from gasp_rl.rng import rng
from gasp_rl.roles.prompts import PromptBook, load_prompts
from gasp_rl.tasks import Induction, Question, retell
from gasp_rl.types import Axis, Example, Stage, TaskKind
from gasp_rl.wording import counted

STAND_IN = Induction(
    program="def f(x):\n    return x",
    message="Give back x.",
    shown=(Example("1", "1"), Example("2", "2")),
    hidden=(Example("3", "3"),),
)
"""What a teacher might have written, where the prompts name no identity program."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The questions that the prompts show, and a line on each thing that is not here.

    guide: what a lemma is asked for. real: what the student is trained on by RLVR.
    """

    guide: Question
    real: Question
    said: Sequence[str]


def describe(config: Config) -> str:
    """The resolved settings as JSON, what a step takes, and each kind of prompt in it once."""
    shown = _questions(config)
    folder, model_said = _folder(config)
    prompts = load_prompts(folder)
    parts = [config.model_dump_json(indent=1), *model_said, *shown.said]
    parts += [*_held_out(config), _plan(config)]
    parts += [
        f"--- {name} ({prompts.version})\n{prompt}"
        for name, prompt in _prompts(config, prompts, shown)
    ]
    return "\n\n".join(parts)


def _prompts(config: Config, prompts: PromptBook, shown: Shown) -> Iterator[tuple[str, str]]:
    """Names and texts, in the order in which a step comes to them."""
    if config.method == "azr":
        yield from _azr(config, prompts)
    if config.method.startswith("gasp"):
        yield from _gasp(config, prompts, shown.guide)
    if config.method.endswith("rlvr"):
        yield "student's prompt, real question", prompts.question(shown.real)


def _gasp(config: Config, prompts: PromptBook, guide: Question) -> Iterator[tuple[str, str]]:
    inputs, axes = config.teacher.inputs, [Axis(a) for a in dict.fromkeys(config.teacher.axes)]
    for axis in axes:
        yield f"lemma prompt, {axis} axis", prompts.lemma(guide, axis, inputs)
    lemma = _lemma(config, prompts)
    for axis in axes if config.teacher.lifts else ():
        name = f"lift prompt, {axis} axis, from a stand-in for a lemma"
        yield name, prompts.lift(lemma, axis, inputs)
    draw = rng(config.seed, 0, "dry run")
    # Probes ask for the program, whatever the solver's tasks are turned into.
    for kind in dict.fromkeys([TaskKind.INDUCTION, *map(TaskKind, config.student.kinds)]):
        name = f"student's prompt, {kind}, of the same stand-in"
        yield name, prompts.student(retell(lemma, kind, draw))


def _lemma(config: Config, prompts: PromptBook) -> Induction:
    """A task with as many pairs, shown and hidden, as an accepted lemma has."""
    task = prompts.identity or STAND_IN
    pairs = (task.shown + task.hidden)[: config.teacher.inputs]
    shown = min(config.teacher.shown, len(pairs) - 1)
    return replace(task, shown=pairs[:shown], hidden=pairs[shown:])


def _azr(config: Config, prompts: PromptBook) -> Iterator[tuple[str, str]]:
    """Those of the first step, in which everything descends from the identity program."""
    seed, inputs = prompts.identity, config.teacher.inputs
    if seed is None:
        raise DataError(f"prompts {prompts.version!r} have no section [identity]")
    references = [seed][: config.azr.references]
    kinds = [TaskKind(kind) for kind in dict.fromkeys(config.azr.kinds)]
    for kind in kinds:
        stage = Stage(kind)
        described = stage is Stage.INDUCTION
        yield (
            f"proposer prompt, {kind}",
            prompts.describe(seed, inputs)
            if described
            else prompts.propose(stage, references, inputs),
        )
    for kind in kinds:
        task = asked(seed, kind, COMPAT[config.azr.compat])
        yield f"student's prompt, {kind}", prompts.student(task)


def _questions(config: Config) -> Shown:
    """The first guide, else a question of the pool, and the pool's first question; where neither is
    here, one of the miniature."""
    guided, real = config.method.startswith("gasp"), config.method.endswith("rlvr")
    said: list[str] = []
    goalposts: list[Question] = []
    guides: list[Question] = []
    pool: list[Question] = []
    try:
        goalposts = load_goalposts(config)
        said.append(counted(len(goalposts), "goalpost"))
        guides = load_guides(config, goalposts) if guided else []
    except (DataError, OSError) as error:
        said.append(f"not here: {error}")
    if real or (guided and not guides):
        try:
            without = goalposts if config.method == "gasp+rlvr" else ()
            pool = [q.question for q in load_pool(config, without)]
        except (DataError, OSError) as error:
            said.append(f"not here: {error}")
    if guided and not guides:
        place = "data.pool" if pool else "the miniature"
        said.append(f"the lemma prompts show a question of {place}")
    if real and not pool:
        said.append("the real question is one of the miniature")
    stand_in = assets.goalposts("miniature").goalposts[0].question
    return Shown(
        guide=(guides or pool or [stand_in])[0],
        real=(pool or [stand_in])[0],
        said=list(dict.fromkeys(said)),  # a set may be missing as guides and as pool
    )


def _held_out(config: Config) -> list[str]:
    """How many questions the sets hold that measure, where the configuration names some."""
    if not (config.data.validation or config.data.test):
        return []
    try:
        sets = load_held_out(config, {"data.goalposts": load_goalposts(config)})
    except (DataError, OSError) as error:
        return [f"no validation or test questions: {error}"]
    validation, test = len(sets.validation), len(sets.test)
    return [f"{counted(validation, 'validation question')}, {counted(test, 'test question')}"]


def _folder(config: Config) -> tuple[Path | None, list[str]]:
    try:
        return assets.model_folder(config.model.path), []
    except DataError as error:
        return None, [f"not here: {error}"]


def _plan(config: Config) -> str:
    try:
        return render(make_plan(config))
    except DataError as error:
        return f"a step  {budget_line(draws(config))}\nno plan: {error}"
