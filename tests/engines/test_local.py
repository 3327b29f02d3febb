"""What only the local engine does: folders, number formats, embeddings, a missing extra."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from tiny import EOS, VOCABULARY, save_tiny, tiny_model  # noqa: E402
from transformers import AutoModelForCausalLM, GraniteConfig, GraniteForCausalLM  # noqa: E402

from gasp_rl.config import Config, EngineConfig, LossConfig, OptimConfig  # noqa: E402
from gasp_rl.engines.factory import build_engine  # noqa: E402
from gasp_rl.engines.local import LocalEngine  # noqa: E402
from gasp_rl.engines.protocol import Row, SamplingParams  # noqa: E402
from gasp_rl.errors import ConfigError, DataError, EngineError  # noqa: E402

CPU = EngineConfig(device="cpu")


def row(engine: LocalEngine) -> Row:
    prompt = engine.tokenizer.encode("abc")
    ((sample,),) = engine.sample([prompt], 1, SamplingParams(max_tokens=8, seed=1))
    return Row(
        prompt=prompt,
        tokens_T=sample.tokens_T,
        logprobs_T=sample.logprobs_T,
        advantages_T=(1.0,) * len(sample.tokens_T),
    )


def test_folders_that_are_no_model_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        LocalEngine(tmp_path, CPU)
    save_tiny("qwen2", tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be loaded"):
        LocalEngine(tmp_path, CPU)
    save_tiny("qwen2", tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        LocalEngine(tmp_path, CPU)


def test_a_checkpoint_of_another_shape_is_an_error(
    model_folders: dict[str, Path], tmp_path: Path
) -> None:
    engine = LocalEngine(model_folders["qwen2"], CPU)
    other = LocalEngine(model_folders["smollm3-nope"], CPU)
    other.save(tmp_path)
    with pytest.raises(DataError, match="weights of another model"):
        engine.load(tmp_path)


def test_a_model_that_changes_its_logits_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = GraniteConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        logits_scaling=8.0,
        eos_token_id=EOS,
        initializer_range=0.5,
    )
    GraniteForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(EngineError, match="changes its logits"):
        LocalEngine(tmp_path, CPU)


def test_sliding_windows_are_refused(tmp_path: Path) -> None:
    model = tiny_model(
        "qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1, layer_types=None
    )
    model.save_pretrained(tmp_path)
    with pytest.raises(EngineError, match="full attention only"):
        LocalEngine(tmp_path, CPU)


def test_a_checkpoint_is_a_model_folder(model_folders: dict[str, Path], tmp_path: Path) -> None:
    engine = LocalEngine(model_folders["smollm3-nope"], CPU)
    engine.save(tmp_path)
    reopened = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert reopened.config.model_type == "smollm3"
    assert row(LocalEngine(tmp_path, CPU)) == row(engine)


def test_bfloat16_gathers_steps_that_its_own_weights_would_lose(
    model_folders: dict[str, Path], tmp_path: Path
) -> None:
    # bfloat16 keeps 8 bits: next to a weight of 1, a step of 1e-4 rounds away. 100 of them do not.
    engine = LocalEngine(
        model_folders["qwen2"], EngineConfig(device="cpu", dtype="bfloat16", sample_rows=4)
    )
    example = row(engine)
    before = engine.logprobs([(example.prompt, example.tokens_T)])
    for i in range(100):
        engine.forward_backward([example], LossConfig(name="policy-gradient"))
        engine.optim_step(OptimConfig(lr=1e-4))
        if i == 49:
            engine.save(tmp_path)
    after = engine.logprobs([(example.prompt, example.tokens_T)])
    assert sum(after[0]) > sum(before[0]) + 0.1
    resumed = LocalEngine(model_folders["qwen2"], EngineConfig(device="cpu", dtype="bfloat16"))
    resumed.load(tmp_path)
    for _ in range(50):
        resumed.forward_backward([example], LossConfig(name="policy-gradient"))
        resumed.optim_step(OptimConfig(lr=1e-4))
    assert resumed.logprobs([(example.prompt, example.tokens_T)]) == after


def test_hidden_means_are_one_row_for_each_text(model_folders: dict[str, Path]) -> None:
    engine = LocalEngine(model_folders["qwen2"], CPU)
    texts = [engine.tokenizer.encode(text) for text in ("abc", "hello world", "abc")]
    means = engine.hidden_means(texts)
    assert means.shape == (3, 32)
    assert means.dtype == np.float32
    np.testing.assert_array_equal(means[0], means[2])
    assert not np.allclose(means[0], means[1])


def test_threads_are_set(model_folders: dict[str, Path]) -> None:
    before = torch.get_num_threads()
    try:
        LocalEngine(model_folders["qwen2"], EngineConfig(device="cpu", threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_an_error(model_folders: dict[str, Path]) -> None:
    with pytest.raises(EngineError, match="torch sees no GPU"):
        LocalEngine(model_folders["qwen2"], EngineConfig(device="cuda"))


def test_the_scripted_engine_is_not_built_from_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"engine\.name=local"):
        build_engine(Config(engine=EngineConfig(name="scripted")), tmp_path)


def test_without_torch_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from gasp_rl.config import Config\n"
        "from gasp_rl.engines.factory import build_engine\n"
        "build_engine(Config(), Path('.'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 1
    assert 'pip install "gasp-rl[train]"' in done.stderr


def test_continuous_batching_says_which_transformers_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.__version__", "5.17.0")
    save_tiny("qwen2", tmp_path)
    with pytest.raises(EngineError, match=r"needs transformers 5\.18 or newer, here is 5\.17\.0"):
        LocalEngine(tmp_path, EngineConfig(device="cpu", sampler="continuous"))
