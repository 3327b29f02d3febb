"""A scripted policy that plays both roles in the English prompts, and a small goalposts file."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gasp_rl.config import Config, parse_config
from gasp_rl.engines.protocol import Engine
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.goalposts.file import Goalpost, GoalpostFile, write_goalposts
from gasp_rl.methods import loop
from gasp_rl.problems.schema import write_questions
from gasp_rl.store.progress import Silent
from gasp_rl.store.run import RunStore
from gasp_rl.tasks import Form, Question
from gasp_rl.types import Example


def write(prompt: str, sample: int, random: np.random.Generator) -> str:
    """A teacher that adds constants and errs in every way; a student that is right by chance."""
    if "You are a teacher" in prompt:
        return propose(sample, int(random.integers(1, 1000)))
    if "What does the call" in prompt:
        return "```output\n0\n```"
    if "Find arguments" in prompt:
        return "```input\n0\n```"
    constant = re.search(r"Add (-?\d+)", prompt)
    if constant is None or random.random() < 0.3:
        return "no idea" if random.random() < 0.3 else "```python\ndef f(x):\n    return 0\n```"
    right = random.random() < 0.5
    value = int(constant[1]) if right else -1
    return f"```python\ndef f(x):\n    return x + {value}\n```"


def propose(sample: int, constant: int) -> str:
    bodies = {
        0: "import socket\ndef f(x):\n    return len(socket.gethostname())",
        1: "def f(x):\n    return x / 0",
        2: "def f(x):\n    return hash(str(x))",
    }
    if sample == 3:
        return "I would rather not."
    program = bodies.get(
        sample % 8, f"def f(x):\n    {'y = x * 1; ' * sample}return x + {constant}"
    )
    inputs = "\n".join(str(i) for i in range(5))
    word = " and again" * (constant % 7)
    return (
        f"```message\nAdd {constant} to x{word}.\n```\n```python\n{program}\n```\n"
        f"```inputs\n{inputs}\n```"
    )


def question(i: int) -> Question:
    return Question(
        id=f"h{i}",
        source="test",
        form=Form.FUNCTION,
        statement=f"Add {i} after something hard.",
        shown=(Example("1", str(1 + i)), Example("2", str(2 + i))),
        hidden=(Example("3", str(3 + i)),),
    )


def with_keys(config: Config, **keys: object) -> Config:
    """The configuration with some keys replaced, sections key by key."""
    tree = config.model_dump()
    for key, value in keys.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    return parse_config(tree, "test")


def metrics_of(run: Path) -> list[dict[str, float]]:
    with RunStore.open_readonly(run) as reader:
        return [dict(step.metrics) for step in reader.steps()]


class Stop(Exception):
    """Stands for a crash between two steps."""


class StopsAfter(Silent):
    def __init__(self, step: int) -> None:
        self.step = step

    def step_committed(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        if step == self.step:
            raise Stop


def resumed_like_whole(
    config: Config,
    folder: Path,
    crash: int = 3,
    make: Callable[[], Engine] = lambda: ScriptedEngine(write),
) -> bool:
    """Whether a run that was stopped after a step and resumed has the metrics of a whole one."""
    whole = loop.train(config, folder / "whole", engine=make())
    broken = folder / "broken"
    with pytest.raises(Stop):
        loop.train(config, broken, progress=StopsAfter(crash), engine=make())
    loop.resume(broken, engine=make())
    return metrics_of(broken) == metrics_of(whole)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(write)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    goalposts = tmp_path / "goalposts.jsonl"
    write_goalposts(goalposts, GoalpostFile(tuple(Goalpost(question(i)) for i in range(5))))
    pool = tmp_path / "pool.jsonl"
    write_questions(pool, [question(i) for i in range(10, 30)])
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    tree = {
        "name": "scripted",
        "steps": 4,
        "model": {"path": str(tmp_path / "model")},
        "data": {"goalposts": str(goalposts), "pool": str(pool)},
        "probe": {"n": 8},
        "teacher": {"goalposts_per_round": 3, "proposals_per_prompt": 8, "max_attempts": 2},
        "student": {"tasks": 6, "attempts": 2},
        "rlvr": {"questions": 5, "attempts": 4},
        "eval": {"every": 2, "goalpost_samples": 4},
        "sandbox": {"workers": 2, "cpu_seconds": 1.0},
        "store": {"checkpoint_every": 2},
    }
    return parse_config(tree, "test")
