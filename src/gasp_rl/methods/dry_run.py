"""What a run would do: its settings and two rendered prompts. Loads no weights."""

from gasp_rl.config import Config
from gasp_rl.methods.session import load_goalposts, load_guides
from gasp_rl.miniature import assets
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.types import Axis, Stage


def describe(config: Config) -> str:
    """The resolved settings as JSON, the rollouts of a step, and a lemma prompt on each axis."""
    goalposts = load_goalposts(config)
    prompts = load_prompts(assets.model_folder(config.model.path))
    parts = [config.model_dump_json(indent=1), f"{len(goalposts)} goalposts", _budget(config)]
    if config.method.startswith("gasp"):
        inputs, guide = config.teacher.inputs, load_guides(config, goalposts)[0]
        for axis in map(Axis, config.teacher.axes):
            prompt = prompts.lemma(guide, axis, inputs)
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
        parts.append(f"--- prompt ({prompts.version})\n{prompts.question(goalposts[0])}")
    return "\n\n".join(parts)


def _budget(config: Config) -> str:
    """Completions of one step, by arithmetic: the most that rejection sampling may draw."""
    real = config.rlvr.questions * config.rlvr.attempts
    if config.method == "rlvr":
        return f"student rollouts in a step: {real}"
    if config.method == "azr":
        return _azr_budget(config)
    teacher = config.teacher
    phases = 2 if teacher.lifts else 1
    proposals = phases * teacher.goalposts_per_round * teacher.proposals_per_prompt
    rounds = f"{proposals} to {proposals * teacher.max_attempts}"
    probes = proposals * teacher.max_attempts * config.probe.n
    attempts = config.student.tasks * config.student.attempts
    text = f"proposals in a step: {rounds}; probes at most {probes}; attempts at most {attempts}"
    return f"{text}; attempts at real questions: {real}" if config.method == "gasp+rlvr" else text


def _azr_budget(config: Config) -> str:
    kinds = len(config.azr.kinds)
    proposals = kinds * config.azr.prompts * config.teacher.proposals_per_prompt
    attempts = kinds * config.azr.tasks * config.student.attempts
    probes = proposals * config.probe.n
    return f"proposals in a step: {proposals}; probes at most {probes}; attempts at most {attempts}"
