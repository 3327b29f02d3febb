"""Memory that runs out, memory that is saved, and gradients that do not care."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from contract import LOSS, OPTIM, PARAMS, rows_of  # noqa: E402
from tiny import tiny_model  # noqa: E402

from gasp_rl.config import EngineConfig  # noqa: E402
from gasp_rl.engines.local import LocalEngine  # noqa: E402
from gasp_rl.engines.memory import Budget  # noqa: E402
from gasp_rl.engines.packing import pack  # noqa: E402
from gasp_rl.engines.scoring import score  # noqa: E402
from gasp_rl.errors import EngineError, MissingExtraError  # noqa: E402


def local(folder: Path, **settings: object) -> LocalEngine:
    return LocalEngine(folder, EngineConfig.model_validate({"device": "cpu", **settings}))


def limit(engine: LocalEngine, *, rows: int = 10**9, tokens: int = 10**9) -> None:
    """As a small device would: the last layer's forward fails beyond so much at once."""

    def refuse(module: object, args: tuple) -> None:
        batch, length = args[0].shape[:2]
        if batch > rows or batch * length > tokens:
            raise torch.OutOfMemoryError(f"no room for {batch} x {length}")

    engine._model.base_model.layers[-1].mlp.down_proj.register_forward_pre_hook(refuse)


def gradient(engine: LocalEngine) -> "torch.Tensor":
    return torch.cat([p.grad.flatten() for p in engine._model.parameters() if p.requires_grad])


def test_out_of_memory_halves_the_micro_batch_and_changes_no_gradient(
    model_folders: dict[str, Path],
) -> None:
    engine, small = (local(model_folders["qwen2"], train_tokens=256) for _ in range(2))
    rows = rows_of(engine)
    for _ in range(2):  # gradients of earlier calls survive the retry
        engine.forward_backward(rows, LOSS)
    small.forward_backward(rows, LOSS)
    limit(small, tokens=70)
    with pytest.warns(UserWarning, match=r"engine\.train_tokens halved to 64"):
        metrics = small.forward_backward(rows, LOSS)
    assert metrics["train/out_of_memory"] == 2  # 256, 128, 64
    assert torch.allclose(gradient(small), gradient(engine), rtol=1e-4, atol=1e-6)
    assert "train/out_of_memory" not in small.forward_backward(rows, LOSS)  # it remembers


def test_out_of_memory_in_the_backward_pass_leaves_no_part_of_a_gradient(
    model_folders: dict[str, Path],
) -> None:
    engine, small = (local(model_folders["qwen2"], train_tokens=128) for _ in range(2))
    rows = rows_of(engine)
    failures = [torch.OutOfMemoryError("once")]

    def fail_once(gradient: "torch.Tensor") -> None:
        if failures:
            raise failures.pop()

    small._model.base_model.layers[0].mlp.up_proj.weight.register_hook(fail_once)
    engine.forward_backward(rows, LOSS)
    with pytest.warns(UserWarning, match="out of memory"):
        small.forward_backward(rows, LOSS)
    assert torch.allclose(gradient(small), gradient(engine), rtol=1e-4, atol=1e-6)


def test_out_of_memory_in_sampling_halves_the_rows_and_changes_no_draw(
    model_folders: dict[str, Path],
) -> None:
    engine, small = (local(model_folders["qwen2"], sample_rows=12) for _ in range(2))
    prompts = [engine.tokenizer.encode(text) for text in ("abc", "hello world", "7")]
    limit(small, rows=5)
    expected = [[c.tokens_T for c in group] for group in engine.sample(prompts, 4, PARAMS)]
    with pytest.warns(UserWarning, match=r"engine\.sample_rows halved to 3"):
        groups = small.sample(prompts, 4, PARAMS)
    assert [[c.tokens_T for c in group] for group in groups] == expected


def test_when_nothing_is_left_to_divide_it_is_an_error(model_folders: dict[str, Path]) -> None:
    engine = local(model_folders["qwen2"], train_tokens=64)
    rows = rows_of(engine)
    limit(engine, tokens=1)
    with (
        pytest.warns(UserWarning, match="halved"),
        pytest.raises(EngineError, match="nothing is left to divide"),
    ):
        engine.forward_backward(rows, LOSS)
    with pytest.raises(EngineError, match="no gradient"):
        engine.optim_step(OPTIM)


def test_other_failures_are_not_taken_for_memory() -> None:
    def fail(size: int) -> None:
        raise RuntimeError("a shape is wrong")

    with pytest.raises(RuntimeError, match="a shape is wrong"):
        Budget("engine.train_tokens", 64).spend(fail, least=1)


def test_a_real_limit_of_memory_is_noticed() -> None:
    # torch's CPU allocator raises a plain RuntimeError; the limit is the process's address space
    code = (
        "import resource, torch, warnings\n"
        "from gasp_rl.engines.memory import Budget\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)\n"
        "budget = Budget('engine.train_tokens', 2**10)\n"
        "print(budget.spend(lambda size: torch.empty(size * 2**20, dtype=torch.uint8).numel(), 1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (2**28, 2**27, 2**26, 2**25)


def test_gradient_checkpointing_changes_no_bit(model_folders: dict[str, Path]) -> None:
    plain = local(model_folders["qwen2"])
    lean = local(model_folders["qwen2"], gradient_checkpointing=True)
    calls = []
    lean._model.base_model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    rows = rows_of(plain)
    calls.clear()
    for engine in (plain, lean):
        engine.forward_backward(rows, LOSS)
    assert len(calls) == 2  # the forward pass, and again in the backward pass
    assert torch.equal(gradient(plain), gradient(lean))
    assert rows_of(lean) == rows  # sampling keeps its cache


def test_offloaded_steps_are_the_same_steps(model_folders: dict[str, Path]) -> None:
    plain = local(model_folders["qwen2"])
    away = local(model_folders["qwen2"], offload_optimizer=True)
    for _ in range(2):
        for engine in (plain, away):
            engine.forward_backward(rows_of(engine), LOSS)
            engine.optim_step(OPTIM)
    assert rows_of(plain) == rows_of(away)


def test_eight_bit_adam_steps_or_says_what_to_install(model_folders: dict[str, Path]) -> None:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"gasp-rl\[8bit\]"):
            local(model_folders["qwen2"], optimizer="adamw-8bit")
        return
    engine = local(model_folders["qwen2"], optimizer="adamw-8bit")
    rows = rows_of(engine)
    engine.forward_backward(rows, LOSS)
    engine.optim_step(OPTIM)
    assert rows_of(engine) != rows


class LargestTensor(torch.overrides.TorchFunctionMode):
    """Elements of the largest result of any call inside."""

    def __init__(self) -> None:
        self.elements = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_a_large_vocabulary_has_no_full_tensor_of_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    # 150k words of 300 tokens are 180 MB in float32; chunks of 64 tokens must be the largest
    from gasp_rl.engines import scoring

    vocabulary, tokens = 150_000, 300
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 64 * vocabulary)
    model = tiny_model("qwen2", vocab_size=vocabulary, hidden_size=16)
    generator = torch.Generator().manual_seed(0)
    completion = tuple(torch.randint(2, vocabulary, (tokens,), generator=generator).tolist())
    packed = pack([((5, 6, 7), completion)], torch.device("cpu"), torch.float32)
    with LargestTensor() as largest:
        logprobs, _ = score(model, packed)
    assert largest.elements <= 64 * vocabulary
    with torch.no_grad():
        hidden = model.base_model(
            input_ids=torch.tensor([(5, 6, 7, *completion)])
        ).last_hidden_state
        logits = hidden[0, 2:-1].double() @ model.get_output_embeddings().weight.double().T
        expected = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]
    assert (logprobs.double() - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_peak_of_memory_grows_with_what_is_held(model_folders: dict[str, Path]) -> None:
    policy = local(model_folders["qwen2"])
    if not (before := policy.memory_peak()):
        pytest.skip("this system does not say how much memory a process holds")
    assert set(before) == {"cpu/memory_peak"}
    held = torch.ones(64 * 2**20)  # 256 MiB
    grown = policy.memory_peak()["cpu/memory_peak"]
    assert grown >= held.nbytes
    del held
    assert policy.memory_peak()["cpu/memory_peak"] == grown  # the most, not what is held now
