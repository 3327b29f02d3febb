"""`gasp plan`: what a configuration needs, before anything is loaded."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

from gasp_rl.config import Config
from gasp_rl.errors import DataError
from gasp_rl.planning.hours import (
    DECODE_SHARE,
    LAYER_SECONDS,
    TOKEN_SECONDS,
    TRAIN_SHARE,
    step_seconds,
)
from gasp_rl.planning.machine import Gpu, gpus, host_memory
from gasp_rl.planning.memory import Load, Memory, beside, reckon, trained_parameters, worst
from gasp_rl.planning.shapes import Device, Shape, device_names, find_device, read_shape
from gasp_rl.planning.work import Draw, draws
from gasp_rl.problems.embedded import LONGEST_PROMPT, is_embedded, model_place
from gasp_rl.types import Metrics

TIGHT = 0.9
"""Share of a device's memory above which fragments and the CUDA context may no longer fit."""

PEAKS = ("gpu/memory_peak", "cpu/memory_peak")
GIB = 2.0**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """teacher: the shape of the teacher's own model, where it has one; tokens and seconds of one step
    are the mean of the run's steps where some take more; `steps` is what the run takes at most."""

    name: str
    method: str
    model: str
    shape: Shape
    teacher: Shape | None
    trained: int
    device: Device
    devices: int
    memory: Memory
    draws: tuple[Draw, ...]
    sampled_tokens: int
    trained_tokens: int
    completion_share: float
    sampling_seconds: float
    training_seconds: float
    steps: int

    @property
    def hours(self) -> float:
        """Of all steps."""
        return self.steps * (self.sampling_seconds + self.training_seconds) / 3600

    @property
    def verdict(self) -> str:
        """`fits`, `tight` (above 90% of the device), `too large`, or `unknown`."""
        if not self.device.memory:
            return "unknown"
        share = self.memory.peak / self.device.memory
        return "too large" if share > 1 else "tight" if share > TIGHT else "fits"


def make_plan(config: Config) -> Plan:
    """Reckon a configuration on `plan.device`, or on what this machine has.

    Raises `DataError` when the model's dimensions are unknown.
    """
    shape = _shape(config.model.path)
    teacher = _shape(config.teacher.model) if config.teacher.model is not None else None
    settings, engine, step = config.plan, config.engine, draws(config)
    device = find_device(settings.device) if settings.device else _device_here(config)
    share = settings.completion_share
    sampling = training = sampled = trained = 0.0
    for draw in step:
        policy = teacher if teacher is not None and draw.second else shape
        prompt = longest_prompt(config, policy)
        each = step_seconds(policy, [draw], prompt, share, engine, device, settings.devices)
        sampling, training = sampling + each[0], training + each[1]
        sampled += draw.frequency * share * draw.completions * draw.max_tokens
        if draw.trained:
            tokens = draw.prompts * prompt + share * draw.trained * draw.max_tokens
            trained += draw.frequency * tokens
    return Plan(
        name=config.name,
        method=config.method,
        model=config.model.path,
        shape=shape,
        teacher=teacher,
        trained=trained_parameters(shape, engine),
        device=device,
        devices=settings.devices,
        memory=_memory(config, shape, teacher, step),
        draws=step,
        sampled_tokens=round(sampled),
        trained_tokens=round(trained),
        completion_share=share,
        sampling_seconds=sampling,
        training_seconds=training,
        steps=config.steps,
    )


def _shape(model: str) -> Shape:
    return read_shape(model_place(model))


def _memory(config: Config, shape: Shape, teacher: Shape | None, step: Sequence[Draw]) -> Memory:
    """The peak of one policy, or of two that take turns, each with the other beside it."""

    def moments(policy: Shape, held: Sequence[Load]) -> list[Memory]:
        return [reckon(policy, load, config.engine, config.plan.devices) for load in held]

    own = [draw for draw in step if not draw.second]
    student = moments(shape, loads(config, own, longest_prompt(config, shape)))
    if teacher is None:
        return worst(student)
    # A method that does not ask the teacher for anything loads it all the same.
    written = [draw for draw in step if draw.second] or own[:1]
    prompt = longest_prompt(config, teacher)
    other = moments(teacher, [call_of(config, draw, prompt) for draw in written])
    return worst([*(beside(m, other[0]) for m in student), *(beside(m, student[0]) for m in other)])


def longest_prompt(config: Config, shape: Shape) -> int:
    """`plan.prompt_tokens`, where nothing is known that is less: the prompts of an embedded world, or
    what the model's positions leave beside a completion."""
    prompt = config.plan.prompt_tokens
    models = [config.model.path, *([config.teacher.model] if config.teacher.model else [])]
    if all(map(is_embedded, (*models, config.data.goalposts, config.data.pool))):
        prompt = min(prompt, LONGEST_PROMPT)
    if shape.positions:
        completion = max(d.max_tokens for d in draws(config))
        prompt = min(prompt, max(1, shape.positions - completion))
    return prompt


def loads(config: Config, step: Sequence[Draw], prompt: int) -> list[Load]:
    """What each call of the engine holds on one device. Trials have as many questions as their files,
    which are not read: they are taken to fill the rows."""
    calls = [call_of(config, draw, prompt) for draw in step]
    if config.eval.every:
        full = config.engine.sample_rows * config.plan.devices
        trial = Draw(
            name="trial",
            prompts=ceil(full / config.eval.goalpost_samples),
            completions=full,
            trained=0,
            max_tokens=config.student.sampling.max_tokens,
        )
        calls.append(call_of(config, trial, prompt))
    return calls


def call_of(config: Config, draw: Draw, prompt: int) -> Load:
    """What one of the calls of a draw holds on one device."""
    engine, devices = config.engine, config.plan.devices
    completions, prompts = ceil(draw.completions / draw.calls), ceil(draw.prompts / draw.calls)
    rows = min(engine.sample_rows, ceil(completions / devices))
    joined = ceil(rows * prompts / completions) + 1  # rows of one prompt join together
    return Load(
        prompt=prompt,
        completion=draw.max_tokens,
        rows=rows,
        prompts=min(joined, ceil(prompts / devices)),
        train_tokens=engine.train_tokens,
        reference=config.loss.kl_coef > 0,
    )


def render(plan: Plan) -> str:
    """The plan for a reader, sizes in GiB."""
    memory, device = plan.memory, plan.device
    parts = asdict(memory)
    host = parts.pop("host")
    if plan.teacher is None:
        parts.pop("other")
    known = f", {device.memory / GIB:.3g} GiB each" if device.memory else ", memory unknown"
    lines = [
        f"plan of {plan.name}: {plan.method} on {plan.model}",
        f"model   {plan.shape.parameters:,} parameters, {plan.trained:,} of them trained"
        if plan.trained == plan.shape.parameters
        else f"model   {plan.shape.parameters:,} parameters, {plan.trained:,} in adapters trained",
        *_teacher(plan),
        f"device  {plan.devices} x {device.name}{known}",
        "memory  on each device",
        *(f"  {name.replace('_', ' '):<15}{_size(value):>12}" for name, value in parts.items()),
        f"  sampling {_size(memory.sampling)}, backward {_size(memory.backward)}, "
        f"optimiser's step {_size(memory.step)}",
        f"peak    {_size(memory.peak)}{_of(plan)}: {plan.verdict}",
    ]
    if host:
        lines.append(f"host    {_size(host)} of CPU memory for the offloaded optimiser")
    mean = " on average" if any(d.frequency < 1 for d in plan.draws) else ""
    seconds = f"sampling {plan.sampling_seconds:,.3g} s, training {plan.training_seconds:,.3g} s"
    return "\n".join(
        [
            *lines,
            f"a step  {budget_line(plan.draws)}",
            f"tokens  {plan.sampled_tokens:,} sampled and {plan.trained_tokens:,} trained in a "
            f"step{mean}",
            f"hours   {plan.hours:.3g} for {plan.steps} steps ({seconds} a step{mean})",
            f"        if all that a step may sample is sampled and completions fill "
            f"{plan.completion_share:.0%} of max_tokens,",
            f"        at {TRAIN_SHARE:.0%} of the peak and {1e6 * TOKEN_SECONDS:.0f} us a token in training, "
            f"and {DECODE_SHARE:.0%} of the bandwidth in decoding",
            f"        or {1000 * LAYER_SECONDS:.1g} ms a layer (no such times on a CPU);",
            "        sandbox and trials not counted",
        ]
    )


def as_json(plan: Plan) -> dict[str, Any]:
    """Everything of the plan, sizes in bytes."""
    derived = {"peak": plan.memory.peak, "verdict": plan.verdict, "hours": plan.hours}
    return {**asdict(plan), **derived}


def budget_line(step: tuple[Draw, ...]) -> str:
    """`proposals at most 128, probes at most 1,280, ...`, with the steps where it is not each."""
    return ", ".join(
        f"{d.name} at most {d.completions:,}{f' {d.when}' if d.when else ''}" for d in step
    )


def beside_plan(config: Config, metrics: Metrics) -> str | None:
    """One line on a step's measured peak beside the planned one; none where nothing was measured,
    or the model's dimensions are unknown."""
    measured = next((metrics[name] for name in PEAKS if metrics.get(name)), None)
    if measured is None:
        return None
    try:
        planned = make_plan(config).memory.peak
    except DataError:
        return None
    ratio = measured / planned
    return f"memory peak {_size(measured)}, planned {_size(planned)} ({ratio:.2f} of it)"


def unshared(config: Config, processes: int) -> str | None:
    """A warning where a recipe made for several devices runs in one process; else none."""
    devices = config.plan.devices
    if config.engine.name != "local" or devices == 1 or processes > 1:
        return None
    return (
        f"this recipe is planned for {devices} devices, and one process trains on one: begin it with "
        f"torchrun --nproc-per-node {devices} -m gasp_rl.cli train ..."
    )


def _device_here(config: Config) -> Device:
    found = [] if config.engine.device == "cpu" else gpus()
    if not found:
        return replace(find_device("cpu"), memory=host_memory())
    return like(found[0])


def like(gpu: Gpu) -> Device:
    """A GPU of this machine with its own memory, and the speed of the data sheet that its name asks
    for; the slowest known one's where none does, and then the name says so."""
    known = [n for n in device_names() if n != "cpu"]
    model = {n: n.removeprefix("rtx-").split("-")[0].upper() for n in known}
    words = gpu.name.upper().replace("-", " ").split()
    for name in known:
        if model[name] in words:
            return replace(find_device(name), name=gpu.name, memory=gpu.memory)
    slowest = min((find_device(n) for n in known), key=lambda d: d.bandwidth)
    stated = f"{gpu.name} (speed unknown: as {slowest.name})"
    return replace(slowest, name=stated, memory=gpu.memory)


def _teacher(plan: Plan) -> list[str]:
    if plan.teacher is None:
        return []
    return [f"teacher {plan.teacher.parameters:,} parameters of its own, with an optimiser"]


def _of(plan: Plan) -> str:
    if not plan.device.memory:
        return ""
    share = plan.memory.peak / plan.device.memory
    return f" of {plan.device.memory / GIB:.3g} GiB ({share:.0%})"


def _size(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 2**20:.2f} MiB"
