"""What a run would do: its settings, its plan and rendered prompts. Loads no weights.

It needs neither the model folder nor the data: what is absent is named, and stood in for.
"""

from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.errors import DataError
from gasp_rl.methods.held_out import load_held_out
from gasp_rl.methods.session import load_goalposts, load_guides, load_pool
from gasp_rl.miniature import assets
from gasp_rl.planning.plan import budget_line, make_plan, render
from gasp_rl.planning.work import draws
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.tasks import Question
from gasp_rl.types import Axis, Stage
from gasp_rl.wording import counted


def describe(config: Config) -> str:
    """The resolved settings as JSON, what a step takes, and a prompt of each kind that begins it."""
    question, said = _question(config)
    folder, model_said = _folder(config)
    prompts = load_prompts(folder)
    parts = [config.model_dump_json(indent=1), *model_said, *said]
    parts += [*_held_out(config), _plan(config)]
    if config.method.startswith("gasp"):
        for axis in map(Axis, config.teacher.axes):
            prompt = prompts.lemma(question, axis, config.teacher.inputs)
            parts.append(f"--- lemma prompt, {axis} axis ({prompts.version})\n{prompt}")
    elif config.method == "azr" and prompts.identity is not None:
        inputs, seed = config.teacher.inputs, prompts.identity
        for kind in map(Stage, config.azr.kinds):
            described = kind is Stage.INDUCTION
            prompt = (
                prompts.describe(seed, inputs)
                if described
                else prompts.propose(kind, [seed], inputs)
            )
            parts.append(f"--- proposer prompt, {kind} ({prompts.version})\n{prompt}")
    else:
        parts.append(f"--- prompt ({prompts.version})\n{prompts.question(question)}")
    return "\n\n".join(parts)


def _question(config: Config) -> tuple[Question, list[str]]:
    """What the prompts show: a guide, else a question of the pool, else one of the miniature; and a
    line on each thing that is not here."""
    try:
        goalposts = load_goalposts(config)
        said = [counted(len(goalposts), "goalpost")]
        if config.method == "rlvr":
            return load_pool(config)[0].question, said
        return load_guides(config, goalposts)[0], said
    except (DataError, OSError) as error:
        said = [f"not here: {error}"]
    try:
        return load_pool(config)[0].question, [*said, "the prompts show a question of data.pool"]
    except (DataError, OSError) as error:
        said.append(f"not here: {error}")
    stand_in = assets.goalposts("miniature").goalposts[0].question
    return stand_in, [*said, "the prompts show a question of the miniature in its place"]


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
