"""The examples of docs/extending.md: short, and each does what it says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gasp_rl.config import Config, EngineConfig
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.methods.session import load_pool
from gasp_rl.sandbox import Sandbox
from gasp_rl.store.run import RunStore
from gasp_rl.tasks import Induction
from gasp_rl.types import Example, Outcome
from tests.engines import contract
from tests.methods import conftest as scripted

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("kind", "reward", "method", "engine", "benchmark")

config = scripted.config
engine = scripted.engine


def example(name: str) -> ModuleType:
    module = f"new_{name}"
    spec = importlib.util.spec_from_file_location(module, EXAMPLES / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_short_and_say_what_they_are(name: str) -> None:
    lines = (EXAMPLES / f"new_{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60
    assert lines[0].startswith('"""')
    assert any(line.startswith("Run it: python examples/") for line in lines)


def test_no_example_is_left_out() -> None:
    assert {p.stem for p in EXAMPLES.glob("*.py")} == {f"new_{name}" for name in NAMES}


def test_a_kind_asks_without_telling_and_judges_by_hidden_pairs() -> None:
    kind = example("kind")
    pairs = (Example("[3, 1, 2]", "[1, 2, 3]"), Example("[2, 1, 7]", "[1, 2, 7]"))
    task = Induction("def f(x):\n    return sorted(x)", "Sort x.", pairs[:1], pairs[1:])
    answers = [
        "```python\ndef f(x):\n    return sorted(x)\n```",
        "```python\ndef f(x):\n    return [1, 2, 3]\n```",  # right on the shown pair alone
        "I cannot.",
    ]
    policy = ScriptedEngine(lambda prompt, i, draw: answers[i])
    with Sandbox() as sandbox:
        attempts = kind.attempt(kind.Repair(task, "def f(x): return x"), policy, sandbox, 3)
    outcomes = [attempt.judgement.outcome for attempt in attempts]
    assert outcomes == [Outcome.RIGHT, Outcome.WRONG, Outcome.MALFORMED]
    assert "return x" in attempts[0].prompt
    assert "[1, 2, 3]" in attempts[0].prompt
    assert "sorted" not in attempts[0].prompt
    assert "[1, 2, 7]" not in attempts[0].prompt


def test_a_reward_changes_accepted_proposals_alone(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    reward = example("reward")
    plain = loop.train(config, tmp_path / "plain", engine=engine)
    run = loop.train(
        config, tmp_path / "run", engine=ScriptedEngine(scripted.write), opener=reward.opener
    )
    with RunStore.open_readonly(plain) as before, RunStore.open_readonly(run) as after:
        pairs = list(zip(before.proposals(limit=1000), after.proposals(limit=1000), strict=True))
        words = {node.summary.id: len(node.message.split()) for node in after.accepted()}
    assert any(count > reward.FREE_WORDS for count in words.values())
    for old, new in pairs:
        assert (old.id, old.verdict) == (new.id, new.verdict)
        factor = reward.FREE_WORDS / max(words.get(new.id, 0), reward.FREE_WORDS)
        assert new.reward == pytest.approx(old.reward * factor)
    assert any("teacher/message_words" in metrics for metrics in scripted.metrics_of(run))


def test_a_method_trains_on_right_answers_and_resumes(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    method = example("method")
    config = config.model_copy(update={"method": "rlvr"})
    assert load_pool(config)
    whole = loop.train(config, tmp_path / "whole", engine=engine, opener=method.opener)
    rows = [row for batch in engine.batches for row in batch]
    advantages = {row.advantages_T[0] for row in rows}
    assert advantages == {0.0, 1.0}
    broken = tmp_path / "broken"
    with pytest.raises(scripted.Stop):
        loop.train(
            config,
            broken,
            progress=scripted.StopsAfter(3),
            engine=ScriptedEngine(scripted.write),
            opener=method.opener,
        )
    loop.resume(broken, engine=ScriptedEngine(scripted.write), opener=method.opener)
    assert scripted.metrics_of(broken) == scripted.metrics_of(whole)


class TestSplitEngine(contract.EngineContract, contract.WeightsContract, contract.BitsContract):
    """The contract of every engine, over two `local` ones."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        pytest.importorskip("torch", reason="needs the [train] extra")
        from tests.engines.tiny import save_tiny

        return save_tiny("qwen2", tmp_path_factory.mktemp("qwen2"))

    @pytest.fixture
    def make(self, folder: Path, tmp_path: Path) -> contract.Factory:
        split = example("engine").SplitEngine
        config = Config(engine=EngineConfig(device="cpu", sample_rows=6, threads=1))
        return lambda: split(
            build_engine(config, folder), build_engine(config, folder), tmp_path / "exchange"
        )


def test_a_benchmark_is_measured_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    benchmark = example("benchmark")
    file, out = tmp_path / "sums.jsonl", tmp_path / "samples.db"
    benchmark.write_questions(file, benchmark.questions())
    report = benchmark.measure(file, benchmark.AlwaysTwo(), out)
    assert report.questions == 5
    assert report.estimates[1].value == pytest.approx(1 / 5)  # k = 2 alone
    again = benchmark.measure(file, benchmark.AlwaysTwo(), out, n=2)
    assert again.samples == 10
    assert np.isclose(again.estimates[1].value, 1 / 5)
