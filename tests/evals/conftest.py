"""A tiny model folder with a chat template, as it comes from the Hub, but with random weights."""

from pathlib import Path

import pytest

CHAT_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 folder whose completions are noise; every part around them is real."""
    pytest.importorskip("torch", reason="needs the train extra")
    from transformers import PreTrainedTokenizerFast

    from gasp_rl.engines.random_model import EOS, write_random_model

    folder = tmp_path_factory.mktemp("chat-model")
    write_random_model(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token=EOS, pad_token=EOS
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder
