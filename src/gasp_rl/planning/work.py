"""Rollouts and tokens of one step, from the settings alone: the most that it may take."""

from dataclasses import dataclass

from gasp_rl.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Completions sampled alike. prompts: distinct ones; trained: completions that become rows;
    calls: in how many calls of the engine, one after the other."""

    name: str
    prompts: int
    completions: int
    trained: int
    max_tokens: int
    calls: int = 1


def draws(config: Config) -> tuple[Draw, ...]:
    """What one step samples at most: every round of rejection sampling, every proposal probed."""
    if config.method == "rlvr":
        return (_real(config),)
    if config.method == "azr":
        return _azr(config)
    teacher, student = config.teacher, config.student
    rounds = (2 if teacher.lifts else 1) * teacher.max_attempts
    prompts = rounds * teacher.goalposts_per_round
    proposals = prompts * teacher.proposals_per_prompt
    probes = proposals * config.probe.n
    asked = config.student.sampling.max_tokens
    own = (
        Draw(
            name="proposals",
            prompts=prompts,
            completions=proposals,
            trained=proposals,
            max_tokens=teacher.sampling.max_tokens,
            calls=rounds,
        ),
        Draw(
            name="probes",
            prompts=proposals,
            completions=probes,
            trained=0 if student.learn_from_probes == "none" else probes,
            max_tokens=asked,
            calls=rounds,
        ),
        _attempts(config, student.tasks),
    )
    return (*own, _real(config)) if config.method == "gasp+rlvr" else own


def _azr(config: Config) -> tuple[Draw, ...]:
    kinds, teacher = len(config.azr.kinds), config.teacher
    prompts = kinds * config.azr.prompts
    proposals = prompts * teacher.proposals_per_prompt
    return (
        Draw(
            name="proposals",
            prompts=prompts,
            completions=proposals,
            trained=proposals if config.azr.train_proposer else 0,
            max_tokens=teacher.sampling.max_tokens,
        ),
        Draw(
            name="probes",
            prompts=proposals,
            completions=proposals * config.probe.n,
            trained=0,
            max_tokens=config.student.sampling.max_tokens,
        ),
        _attempts(config, kinds * config.azr.tasks),
    )


def _attempts(config: Config, tasks: int) -> Draw:
    count = tasks * config.student.attempts
    return Draw(
        name="attempts",
        prompts=tasks,
        completions=count,
        trained=count,
        max_tokens=config.student.sampling.max_tokens,
    )


def _real(config: Config) -> Draw:
    count = config.rlvr.questions * config.rlvr.attempts
    return Draw(
        name="attempts at real questions",
        prompts=config.rlvr.questions,
        completions=count,
        trained=count,
        max_tokens=config.student.sampling.max_tokens,
    )
