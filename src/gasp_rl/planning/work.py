"""Rollouts and tokens of one step, from the settings: the most that it may take. No file is read but
the goalposts of an embedded world.

Trials of goalposts and validation questions (`eval`) are no part of a step.
"""

from dataclasses import dataclass

from gasp_rl.config import Config
from gasp_rl.curriculum.azr_compat import COMPAT
from gasp_rl.methods.azr import SEED_ROUNDS
from gasp_rl.miniature import assets


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Completions sampled alike. prompts: distinct ones; trained: completions that become rows;
    calls: in how many calls of the engine, one after the other; second: by the teacher's own weights
    (`teacher.model`); frequency: the share of the run's steps that take it, which are `when` where
    it is not each."""

    name: str
    prompts: int
    completions: int
    trained: int
    max_tokens: int
    calls: int = 1
    second: bool = False
    frequency: float = 1.0
    when: str = ""


def draws(config: Config) -> tuple[Draw, ...]:
    """What one step samples at most: every round of rejection sampling, every proposal probed."""
    if config.method == "rlvr":
        return (_real(config),)
    if config.method == "azr":
        return _azr(config)
    own = _gasp(config)
    return (*own, _real(config)) if config.method == "gasp+rlvr" else own


def _gasp(config: Config) -> tuple[Draw, ...]:
    teacher, student = config.teacher, config.student
    rounds = (2 if teacher.lifts else 1) * teacher.max_attempts
    prompts = rounds * teacher.goalposts_per_round
    proposals = prompts * teacher.proposals_per_prompt
    probes = proposals * config.probe.n
    return (
        Draw(
            name="proposals",
            prompts=prompts,
            completions=proposals,
            trained=proposals,
            max_tokens=teacher.sampling.max_tokens,
            calls=rounds,
            second=teacher.model is not None,
        ),
        Draw(
            name="probes",
            prompts=proposals,
            completions=probes,
            trained=0 if student.learn_from_probes == "none" else probes,
            max_tokens=student.sampling.max_tokens,
            calls=rounds,
        ),
        *_ladder(config),
        *_renewal(config),
        _attempts(config, student.tasks + _retired(config)),
    )


def _ladder(config: Config) -> tuple[Draw, ...]:
    """Fresh probes of the lifts that a ladder may go on from."""
    if config.teacher.lifts < 2:
        return ()
    lifts = config.teacher.goalposts_per_round
    return (
        Draw(
            name="probes of lifts",
            prompts=lifts,
            completions=lifts * config.probe.n,
            trained=0,
            max_tokens=config.student.sampling.max_tokens,
        ),
    )


def _renewal(config: Config) -> tuple[Draw, ...]:
    """Tests of the goalposts in play and of those retired before the run's last test."""
    settings, tests = config.renewal, _tests(config)
    if not tests:
        return ()
    tested = settings.active * (1 + (tests - 1) // settings.tests)
    tested = min(tested, _goalposts(config) or tested)
    return (
        Draw(
            name="tests of goalposts",
            prompts=tested,
            completions=tested * settings.samples,
            trained=0,
            max_tokens=config.student.sampling.max_tokens,
            frequency=tests / config.steps,
            when="" if settings.every == 1 else f"every {settings.every} steps",
        ),
    )


def _retired(config: Config) -> int:
    """Retired goalposts among the tasks of a solver phase. Each has passed `renewal.tests` tests in
    a row in its place, so no more than `renewal.active` retire in that many."""
    retired = config.renewal.active * (_tests(config) // config.renewal.tests)
    return min(config.renewal.tasks, retired, _goalposts(config) or retired)


def _tests(config: Config) -> int:
    """How many times the run renews its goalposts."""
    every = config.renewal.every
    return config.steps // every if every else 0


def _goalposts(config: Config) -> int | None:
    """How many goalposts there are at most; none where only their file says it."""
    name, limit = config.data.goalposts, config.data.limit
    if not assets.is_embedded(name):
        return limit
    return len(assets.goalposts(name).goalposts[:limit])


def _azr(config: Config) -> tuple[Draw, ...]:
    kinds, teacher = len(config.azr.kinds), config.teacher
    prompts = kinds * config.azr.prompts
    proposals = prompts * teacher.proposals_per_prompt
    probes = proposals * config.probe.n
    thrown_away = COMPAT[config.azr.compat].previous_step
    learns = config.student.learn_from_probes != "none" and not thrown_away
    return (
        *_seeds(config),
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
            completions=probes,
            trained=probes if learns else 0,
            max_tokens=config.student.sampling.max_tokens,
        ),
        _attempts(config, kinds * config.azr.tasks),
    )


def _seeds(config: Config) -> tuple[Draw, ...]:
    """What fills the buffers before the first step: rounds of programs of two kinds, then as many
    of descriptions. Their number is bounded, however few of them are valid."""
    if not config.azr.seeds:
        return ()
    prompts = 3 * SEED_ROUNDS * config.azr.prompts
    return (
        Draw(
            name="seeds",
            prompts=prompts,
            completions=prompts * config.teacher.proposals_per_prompt,
            trained=0,
            max_tokens=config.teacher.sampling.max_tokens,
            calls=2 * SEED_ROUNDS,
            frequency=1 / config.steps,
            when="in step 1 alone",
        ),
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
