"""What the `tinker` engine decides without a server; tests/lanes has it on a real one."""

import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from gasp_rl.config import Config, parse_config
from gasp_rl.engines.factory import build_engine, require
from gasp_rl.engines.protocol import Caps
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.engines.tinker_server import (
    KINDS,
    LOOK_SECONDS,
    Connection,
    mismatch,
    rescale,
)
from gasp_rl.errors import EngineError, GaspError


def config(tree: dict) -> Config:
    engine = {"name": "tinker", "lora_rank": 4} | tree.pop("engine", {})
    return parse_config({"engine": engine, **tree}, "test")


@pytest.mark.parametrize("reduction", ["token-mean", "sequence-mean"])
def test_servers_that_sum_and_servers_that_average_give_the_same_gradient(reduction: str) -> None:
    # the loss's derivative by each token of three rows of 1, 2 and 4 tokens after prompts of 3
    gradients = [[0.5], [-1.0, 0.25], [1.0, 2.0, -3.0, 0.5]]
    total = sum(sum(row) for row in gradients)

    def summed(row: list[float]) -> float:
        return sum(row)

    def averaged(row: list[float]) -> float:  # per example over all its positions, then examples
        return sum(row) / (2 + len(row)) / len(gradients)

    for name, reduce in (("skyrl-train", summed), ("hosted", summed), ("skyrl-jax", averaged)):
        seen = 0.0
        for row in gradients:
            scale = rescale(KINDS[name], len(gradients), 2 + len(row))
            seen += reduce([scale * g for g in row])
        assert seen == pytest.approx(total)


@pytest.mark.parametrize(
    ("server", "version", "said"),
    [
        ("skyrl-jax", "0.24.1", None),
        ("skyrl-train", "0.16.0", None),
        ("skyrl-jax", "0.38.0", 'newer protocol .*pip install "gasp-rl.tinker-selfhosted."'),
        ("skyrl-train", "0.25.0", "newer protocol"),
        ("hosted", "0.38.0", None),
        ("hosted", "0.24.1", 'older than the hosted service; pip install "gasp-rl.tinker-hosted."'),
    ],
)
def test_a_client_that_the_server_would_not_understand(
    server: str, version: str, said: str | None
) -> None:
    problem = mismatch(server, version)
    if said is None:
        assert problem is None
    else:
        assert problem is not None
        assert re.search(said, problem)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"engine": {"lora_rank": 0}}, "engine.lora_rank=0"),
        ({"engine": {"lora_alpha": 16}}, "engine.lora_alpha=16"),
        ({"engine": {"sampler": "vllm"}}, "engine.sampler=vllm: with engine.name=tinker"),
        ({"engine": {"lag": 1}}, "engine.lag=1"),
        ({"engine": {"offload_optimizer": True}}, "engine.offload_optimizer=True"),
    ],
)
def test_settings_that_could_take_no_effect_are_errors(
    tree: dict, said: str, model_folders: dict[str, Path]
) -> None:
    with pytest.raises(GaspError, match=said):
        build_engine(config(tree), model_folders["qwen3"])


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "optim.max_grad_norm=1.0"),
        ({"optim": {"max_grad_norm": 0}, "loss": {"entropy_coef": 0.1}}, "loss.entropy_coef=0.1"),
        (
            {"optim": {"max_grad_norm": 0}, "student": {"sampling": {"temperature": 0.8}}},
            "student.sampling.temperature=0.8: this engine trains at temperature 1",
        ),
        (
            {"optim": {"max_grad_norm": 0}, "teacher": {"sampling": {"temperature": 1.2}}},
            "teacher.sampling.temperature=1.2",
        ),
        (
            {
                "optim": {"max_grad_norm": 0},
                "student": {"learn_from_probes": "valid"},
                "probe": {"temperature": 0.9},
            },
            "probe.temperature=0.9",
        ),
    ],
)
def test_wishes_that_a_server_cannot_grant_fail_before_step_0(tree: dict, said: str) -> None:
    engine = ScriptedEngine(lambda *_: "x")
    engine.caps = Caps(
        losses=engine.caps.losses,
        reductions=engine.caps.reductions,
        reference_logprobs=True,
        exact_resume=False,
        entropy_bonus=False,
        tempered_rows=False,
        gradient_clipping=False,
    )
    with pytest.raises(EngineError, match=said):
        require(engine, config(tree))
    untrained = {"optim": {"max_grad_norm": 0}, "probe": {"temperature": 0.9}}
    require(engine, config(untrained))  # probes that are thrown away may have any temperature


def test_a_missing_client_names_its_extra(model_folders: dict[str, Path]) -> None:
    from importlib.util import find_spec

    if find_spec("tinker") is not None:
        pytest.skip("the client is installed here")
    with pytest.raises(GaspError, match=r'pip install "gasp-rl\[tinker-selfhosted\]"'):
        build_engine(config({}), model_folders["qwen3"])


def test_no_server_is_one_sentence(model_folders: dict[str, Path]) -> None:
    pytest.importorskip("tinker", reason="needs the [tinker-selfhosted] extra")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=f"{url}: no Tinker server answers there"):
        build_engine(config({"tinker": {"url": url}}), model_folders["qwen3"])


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class _Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_call_outlives_a_busy_server_and_not_one_that_is_gone() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Alive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = Connection(f"http://127.0.0.1:{server.server_port}", patience_seconds=0.1)
    slow = LOOK_SECONDS + 0.5
    assert connection.call("scoring", lambda: time.sleep(slow) or 7) == 7
    server.shutdown()
    server.server_close()
    forever = threading.Event()
    with pytest.raises(EngineError, match=r"went away while scoring .* resume the run"):
        connection.call("scoring", forever.wait)
    with pytest.raises(EngineError, match=r"failed while training \(ValueError: no such thing\)"):
        connection.call("training", lambda: (_ for _ in ()).throw(ValueError("no such thing")))
