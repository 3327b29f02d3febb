"""Embedders that need a model: equal texts give equal bits, whatever the policy did since."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordLevel  # noqa: E402
from tokenizers.pre_tokenizers import Whitespace  # noqa: E402
from tokenizers.processors import TemplateProcessing  # noqa: E402
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast  # noqa: E402

from gasp_rl.config import Config, EngineConfig, LossConfig, OptimConfig, parse_config  # noqa: E402
from gasp_rl.engines.embedders import EncoderEmbedder, PolicyEmbedder  # noqa: E402
from gasp_rl.engines.local import LocalEngine  # noqa: E402
from gasp_rl.engines.protocol import Row, SamplingParams  # noqa: E402
from gasp_rl.engines.scripted import ScriptedEngine  # noqa: E402
from gasp_rl.errors import ConfigError, DataError  # noqa: E402
from gasp_rl.methods.session import build_embedder  # noqa: E402

TEXTS = ["abc def", "", "abc deg", "a", "9" * 60]


def train_a_little(engine: LocalEngine) -> None:
    prompt = engine.tokenizer.encode("abc")
    ((sample,),) = engine.sample([prompt], 1, SamplingParams(max_tokens=8, seed=1))
    row = Row(
        prompt=prompt,
        tokens_T=sample.tokens_T,
        logprobs_T=sample.logprobs_T,
        advantages_T=(1.0,) * len(sample.tokens_T),
    )
    engine.forward_backward([row], LossConfig())
    engine.optim_step(OptimConfig(lr=0.1))
    engine.publish()


def test_the_policys_vectors_stay_when_it_learns(model_folders: dict[str, Path]) -> None:
    engine = LocalEngine(model_folders["smollm3-nope"], EngineConfig(device="cpu"))
    embedder = PolicyEmbedder(engine)
    before = embedder.embed(TEXTS)
    moving = engine.hidden_means([engine.tokenizer.encode("abc def")])
    train_a_little(engine)
    assert not np.allclose(
        engine.hidden_means([engine.tokenizer.encode("abc def")]), moving, atol=1e-3
    )
    assert np.array_equal(embedder.embed(TEXTS), before)
    again = LocalEngine(model_folders["smollm3-nope"], EngineConfig(device="cpu"))
    assert np.array_equal(PolicyEmbedder(again).embed(TEXTS), before)
    assert PolicyEmbedder(again).fingerprint == embedder.fingerprint
    other = LocalEngine(model_folders["qwen2"], EngineConfig(device="cpu"))
    assert PolicyEmbedder(other).fingerprint != embedder.fingerprint


def save_encoder(folder: Path) -> Path:
    """A tiny random BERT that marks a text's begin and end and reads 8 tokens."""
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefg"]
    raw = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, "[UNK]"))
    raw.pre_tokenizer = Whitespace()
    raw.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", model_max_length=8
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=8,
        initializer_range=0.5,
    )
    BertModel(shape).save_pretrained(folder)
    return folder


def test_an_encoders_vector_is_the_mean_of_its_last_hidden_states(tmp_path: Path) -> None:
    embedder = EncoderEmbedder(save_encoder(tmp_path))
    (vector,) = embedder.embed(["a b c"])
    model = BertModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        hidden = model(torch.tensor([[1, 4, 5, 6, 2]])).last_hidden_state[0]
    mean = hidden.mean(0).numpy()
    assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_an_encoders_vector_depends_on_its_text_alone(tmp_path: Path) -> None:
    embedder = EncoderEmbedder(save_encoder(tmp_path))
    texts = ["a b", "a b c d e f g a b c d", "", "a b c d e f"]
    together = embedder.embed(texts)
    assert np.array_equal(together, np.stack([embedder.embed([t])[0] for t in texts]))
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.array_equal(together[1], together[3])  # cut after the sixth word
    assert np.array_equal(EncoderEmbedder(tmp_path).embed(texts), together)


def test_what_cannot_embed_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        EncoderEmbedder(tmp_path)
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DataError, match="cannot be loaded"):
        EncoderEmbedder(tmp_path)
    scripted = ScriptedEngine(lambda prompt, sample, random: "")
    with pytest.raises(ConfigError, match="does not show hidden states"):
        build_embedder(with_embedder("policy"), scripted)
    with pytest.raises(ConfigError, match="use hash, policy or encoder:PATH"):
        build_embedder(with_embedder("magic"), scripted)


def with_embedder(name: str) -> Config:
    return parse_config({"novelty": {"embedder": name}}, "test")
