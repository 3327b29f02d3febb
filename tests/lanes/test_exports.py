"""An exported curriculum in the libraries that it is made for: `datasets`, TRL, verifiers. `make exports`."""

import asyncio
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
os.environ["HF_HUB_OFFLINE"] = "1"

from small_runs import small_run

from gasp_rl.store.export import ExportWhat, export

TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"


@pytest.fixture(scope="module")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Exported tasks as `datasets` loads them."""
    datasets = pytest.importorskip("datasets", reason="needs datasets: make exports")
    folder = tmp_path_factory.mktemp("exports")
    with small_run(folder, steps=4) as store:
        assert export(store.reader, ExportWhat.CURRICULUM, folder / "curriculum.jsonl") == 8
    return datasets.load_dataset(
        "json", data_files=str(folder / "curriculum.jsonl"), cache_dir=str(folder / "cache")
    )["train"]


@pytest.fixture
def tiny(curriculum: Any) -> tuple[Any, Any]:
    """A random model, and a tokenizer of one character a token."""
    transformers = pytest.importorskip("transformers", reason="needs the [train] extra")
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    texts = [m["content"] for row in curriculum for m in row["prompt"] + row["completion"]]
    pieces = ["<pad>", "<eos>", *sorted(set("".join(texts)) | set("user assistant:\n"))]
    inner = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, "<pad>"))
    inner.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>"
    )
    tokenizer.chat_template = TEMPLATE
    shape = transformers.Qwen3Config(
        vocab_size=len(pieces),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=1024,
        pad_token_id=0,
        eos_token_id=1,
    )
    return transformers.Qwen3ForCausalLM(shape), tokenizer


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "max_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "per_device_train_batch_size": 2,
    }


def test_trl_fine_tunes_on_it(curriculum: Any, tiny: tuple[Any, Any], tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="needs trl: make exports")
    model, tokenizer = tiny
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(**settings(tmp_path)),
        train_dataset=curriculum,
        processing_class=tokenizer,
    )
    row = trainer.train_dataset[0]
    learnt = [
        token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label >= 0
    ]
    written = tokenizer.decode(learnt).replace(" ", "")
    assert curriculum[0]["answer"].replace(" ", "") in written
    assert "f([1,2])" not in written  # the question is not learnt
    assert trainer.train().training_loss > 0


def test_trl_reinforces_on_it(curriculum: Any, tiny: tuple[Any, Any], tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="needs trl: make exports")
    model, tokenizer = tiny
    seen: list[dict[str, Any]] = []

    def reward(
        completions: list[Any], answer: list[str], info: list[str], **_: object
    ) -> list[float]:
        seen.extend(json.loads(text) for text in info)
        return [float(c[0]["content"] == a) for c, a in zip(completions, answer, strict=True)]

    trl.GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=trl.GRPOConfig(**settings(tmp_path), num_generations=2, max_completion_length=8),
        train_dataset=curriculum,
        processing_class=tokenizer,
    ).train()
    assert len(seen) == 2
    assert seen[0]["goalpost"] in {"g1", "g2"}
    assert seen[0]["hidden"][0].keys() == {"input", "output"}


@pytest.fixture
def answering(curriculum: Any) -> Iterator[str]:
    """The address of an OpenAI-compatible server that knows every answer but the first."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    known = {row["prompt"][0]["content"]: row["completion"][0]["content"] for row in curriculum}
    known[curriculum[0]["prompt"][0]["content"]] = "I do not know."

    async def complete(request: Request) -> JSONResponse:
        asked = (await request.json())["messages"][0]["content"]
        message = {"role": "assistant", "content": known[asked]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": "known"}
        return JSONResponse({**head, "choices": [choice]})

    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(10)


def test_verifiers_asks_it_and_scores_it(curriculum: Any, answering: str) -> None:
    verifiers = pytest.importorskip("verifiers", reason="needs verifiers: make exports")
    from openai import AsyncOpenAI

    def right(completion: Any, answer: str, info: dict[str, Any]) -> float:
        assert info["lineage"]
        block = re.search(r"```\w+\n(.*)\n```", completion[-1]["content"], re.DOTALL)
        return float(block is not None and block[1] == answer)

    environment = verifiers.SingleTurnEnv(
        dataset=curriculum, rubric=verifiers.Rubric(funcs=[right])
    )
    client = AsyncOpenAI(base_url=answering, api_key="none")
    results = asyncio.run(environment.a_generate(curriculum, client=client, model="known"))
    first = curriculum[0]["prompt"]
    assert list(results.reward) == [float(row["prompt"] != first) for row in curriculum]
