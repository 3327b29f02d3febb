"""The arithmetic against real tensors: exact where it says so, and within bounds elsewhere."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gasp_rl.cli import build_app
from gasp_rl.config import EngineConfig, OptimConfig, load_config
from gasp_rl.engines.protocol import Row
from gasp_rl.errors import ConfigError, DataError
from gasp_rl.miniature import assets
from gasp_rl.planning.hours import (
    LAYER_SECONDS,
    forward_flops,
    sampling_seconds,
    training_flops,
    training_seconds,
)
from gasp_rl.planning.machine import Gpu, parse_gpus
from gasp_rl.planning.memory import (
    GROWTH,
    Load,
    activation_bytes,
    cache_bytes,
    optimizer_bytes,
    prompt_bytes,
    reckon,
)
from gasp_rl.planning.plan import PEAKS, beside_plan, like, loads, make_plan, render, unshared
from gasp_rl.planning.shapes import Shape, find_device, parse_shape, read_shape
from gasp_rl.planning.work import Draw, draws
from gasp_rl.problems.embedded import LONGEST_PROMPT, SPLITS, embedded_model
from gasp_rl.rng import rng
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.tasks import Induction, retell
from gasp_rl.types import Axis, Stage, TaskKind

SEVEN = read_shape(Path("models/Qwen2.5-Coder-7B"))
LOAD = Load(prompt=512, completion=512, rows=64, prompts=8, train_tokens=4096)

MODELS = {
    "qwen2": {},
    "qwen2 untied": {"tie_word_embeddings": False},
    "qwen3": {"head_dim": 16},
    "llama": {"attention_bias": True, "mlp_bias": True},
    "smollm3": {},
    "mistral": {"tie_word_embeddings": False},
}


def small(name: str, **more: object):  # a transformers model
    transformers = pytest.importorskip("transformers")
    settings = {
        "vocab_size": 40,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    config = transformers.AutoConfig.for_model(
        name.split()[0], **settings | MODELS.get(name, {}) | more
    )
    return transformers.AutoModelForCausalLM.from_config(config)


def shape_of(model) -> Shape:
    return parse_shape(model.config.to_dict(), "test")


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_exact(name: str) -> None:
    model = small(name)
    shape = shape_of(model)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.tensors == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("0.5B", 494_032_768),
        ("1.5B-Instruct", 1_543_714_304),
        ("3B", 3_085_938_688),
        ("7B", 7_615_616_512),
    ],
)
def test_published_models_have_their_published_sizes(name: str, parameters: int) -> None:
    assert read_shape(Path(f"/nowhere/Qwen2.5-Coder-{name}")).parameters == parameters


def test_lora_parameters_are_exact() -> None:
    pytest.importorskip("peft")
    from gasp_rl.engines.adapter import attach

    model = small("qwen2")
    shape = shape_of(model)
    attach(model, 4, 8)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert shape.lora_parameters(4) == sum(p.numel() for p in trained)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("offload", [False, True])
def test_optimizer_bytes_are_exact(dtype: str, offload: bool) -> None:
    torch = pytest.importorskip("torch")
    from gasp_rl.engines.optimizer import MasterOptimizer

    model = small("qwen2").to(getattr(torch, dtype))
    engine = EngineConfig(dtype=dtype, offload_optimizer=offload)
    optimizer = MasterOptimizer(model, "adamw", offload)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step(OptimConfig())
    state = optimizer.state_dict()
    moments = [t for s in state["optimizer"]["state"].values() for t in s.values() if t.ndim]
    held = sum(t.nbytes for t in [*moments, *state["masters"]])
    assert optimizer_bytes(shape_of(model).parameters, engine) == held


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cache_bytes_are_exact(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    from gasp_rl.engines.cache import DecodeCache
    from gasp_rl.engines.decode import prefill

    model = small("qwen2", attn_implementation="sdpa").to(getattr(torch, dtype)).eval()
    prompt = tuple(range(3, 10))
    kv, _ = prefill(model, [prompt])[prompt]
    cache = DecodeCache(kv)
    cache.join([(kv, 5)])
    shape, engine = shape_of(model), EngineConfig(dtype=dtype)
    assert kv.nbytes == len(prompt) * shape.kv_bytes(kv.element_size())
    load = Load(prompt=len(prompt), completion=0, rows=5, prompts=1, train_tokens=1)
    assert cache._kv.shape[4] == len(prompt) + GROWTH
    assert cache_bytes(shape, load, engine) == 2 * cache._kv.nbytes
    assert prompt_bytes(shape, load, engine) > 2 * kv.nbytes  # while it is computed; kept: once


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lengths", [(16, 48, 16), (64, 64, 8), (8, 120, 8)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_those_that_autograd_keeps(
    dtype: str, lengths: tuple[int, int, int], checkpointing: bool
) -> None:
    torch = pytest.importorskip("torch")
    from gasp_rl.engines.attention import ATTENTION
    from gasp_rl.engines.packing import pack
    from gasp_rl.engines.pretrained import load_policy  # noqa: F401  (registers the attention)
    from gasp_rl.engines.scoring import checkpoint_layers, hidden_states

    model = small("qwen2", attn_implementation=ATTENTION).to(getattr(torch, dtype)).eval()
    prompt, completion, rows = lengths
    pairs = [((3 + i, *[30] * (prompt - 1)), (31,) * completion) for i in range(rows)]
    packed = pack(pairs, model.device, model.dtype)
    tokens = len(packed.ids_T)
    engine = EngineConfig(dtype=dtype, gradient_checkpointing=checkpointing)
    load = Load(prompt=prompt, completion=completion, rows=1, prompts=1, train_tokens=tokens)
    if checkpointing:
        checkpoint_layers(model)
    held = {}
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden_states(model, packed)
    measured = sum(storage.nbytes() for storage in held.values())
    reckoned = activation_bytes(shape_of(model), load, engine)
    if checkpointing:  # hooks see the layers' inputs; one layer comes on top in the backward pass
        inner = engine.model_copy(update={"gradient_checkpointing": False})
        one = activation_bytes(shape_of(model), load, inner) / 3
        assert 0.8 * measured < reckoned < measured + 1.3 * one
    else:
        assert 0.85 < reckoned / measured < 1.15


def test_settings_that_save_memory_save_it() -> None:
    plain = EngineConfig(dtype="bfloat16")
    full = reckon(SEVEN, LOAD, plain)
    assert full.weights == 2 * SEVEN.parameters
    assert full.optimizer == 12 * SEVEN.parameters
    lora = reckon(SEVEN, LOAD, plain.model_copy(update={"lora_rank": 32}))
    assert lora.optimizer < full.optimizer / 50
    checkpointed = reckon(SEVEN, LOAD, plain.model_copy(update={"gradient_checkpointing": True}))
    assert checkpointed.activations < full.activations / 10
    offloaded = reckon(SEVEN, LOAD, plain.model_copy(update={"offload_optimizer": True}))
    assert (offloaded.optimizer, offloaded.step_copies) == (0, 0)
    assert offloaded.host == 16 * SEVEN.parameters
    eight = reckon(SEVEN, LOAD, plain.model_copy(update={"optimizer": "adamw-8bit"}))
    assert eight.optimizer < full.optimizer / 1.9
    divided = reckon(SEVEN, LOAD, plain, devices=8)
    assert divided.optimizer == full.optimizer / 8
    assert divided.peak < full.peak / 2
    with_reference = reckon(
        SEVEN,
        Load(prompt=1, completion=1, rows=1, prompts=1, train_tokens=16, reference=True),
        plain,
    )
    assert with_reference.weights == 2 * full.weights


def test_operations_of_a_token() -> None:
    assert forward_flops(SEVEN, 1, 0) == 2 * SEVEN.matmul_parameters
    plain = EngineConfig()
    assert training_flops(SEVEN, 10, 0, plain) == 60 * SEVEN.matmul_parameters
    lora = EngineConfig(lora_rank=8, gradient_checkpointing=True)
    assert training_flops(SEVEN, 10, 0, lora) == training_flops(SEVEN, 10, 0, plain)


def test_decoding_few_rows_is_bound_by_launches_or_by_reading_the_weights() -> None:
    device = find_device("h100-80gb")
    draws = [Draw(name="x", prompts=1, completions=n, trained=0, max_tokens=100) for n in (1, 32)]

    def seconds(sampler: str) -> list[float]:
        engine = EngineConfig.model_validate({"dtype": "bfloat16", "sampler": sampler})
        return [sampling_seconds(SEVEN, draw, 8, 100, engine, device) for draw in draws]

    reading = 100 * 2 * SEVEN.parameters / 3350e9 / 0.3
    assert seconds("vllm")[0] == pytest.approx(reading, rel=0.02)
    assert seconds("vllm")[1] < 1.2 * seconds("vllm")[0]
    assert seconds("native")[0] == pytest.approx(100 * SEVEN.layers * LAYER_SECONDS, rel=0.02)
    assert seconds("native")[0] > reading


@pytest.mark.parametrize(
    ("model", "settings", "measured"),
    [
        ("0.5B", {}, {"gib": 22.33, "sampling": 4.00, "training": 4.02}),
        ("1.5B", {}, {"gib": 50.76, "training": 6.05}),
        (
            "7B",
            {"lora_rank": 16, "gradient_checkpointing": True},
            {"gib": 18.93, "sampling": 9.39, "training": 18.69},
        ),
    ],
)
def test_a_plan_is_near_what_a_gpu_measured(
    model: str, settings: dict[str, object], measured: dict[str, float]
) -> None:
    """`bench/gpu/check.py` on an H200, 2026-11-26: 32 prompts of 256 tokens, 8 rows each, sampled to
    192 tokens and trained with up to 768. The constants were fitted to these, so this keeps the fit
    and validates nothing; sampling seconds of 1.5B (6.1, planned 4.4) are not met and not asked for."""
    shape, device = read_shape(Path(f"Qwen2.5-Coder-{model}")), find_device("h200")
    engine = EngineConfig.model_validate({"dtype": "bfloat16", "sample_rows": 256, **settings})
    load = Load(prompt=256, completion=768, rows=256, prompts=32, train_tokens=8192)
    memory = reckon(shape, load, engine)
    draw = Draw(name="x", prompts=32, completions=256, trained=256, max_tokens=768)
    assert max(memory.backward, memory.step) / 2**30 == pytest.approx(measured["gib"], rel=0.02)
    training = training_seconds(shape, draw, 256, 508, engine, device)
    assert training == pytest.approx(measured["training"], rel=0.05)
    if "sampling" in measured:
        sampling = sampling_seconds(shape, draw, 256, 192, engine, device)
        assert sampling == pytest.approx(measured["sampling"], rel=0.2)


def test_rollouts_of_a_step_follow_the_settings() -> None:
    config = load_config("miniature", ["teacher.max_attempts=3", "student.learn_from_probes=none"])
    counts = {d.name: (d.completions, d.trained) for d in draws(config)}
    assert counts == {"proposals": (384, 384), "probes": (6144, 0), "attempts": (128, 128)}
    azr = {d.name: (d.completions, d.trained) for d in draws(load_config("miniature-azr"))}
    assert azr == {
        "seeds": (2880, 0),
        "proposals": (144, 144),
        "probes": (2304, 2304),
        "attempts": (144, 144),
    }
    real = draws(load_config("miniature-rlvr"))
    assert [(d.prompts, d.completions) for d in real] == [(80, 1280)]


def test_what_comes_in_some_steps_alone_is_weighed_by_how_many() -> None:
    plain = make_plan(load_config("miniature", ["plan.device=cpu"]))
    renewal = make_plan(load_config("miniature-renewal", ["plan.device=cpu", "renewal.tasks=0"]))
    assert renewal.sampled_tokens - plain.sampled_tokens == round(239 * 16 * 96 / 10)
    assert renewal.sampling_seconds > plain.sampling_seconds
    assert renewal.training_seconds == pytest.approx(plain.training_seconds)
    seeded, bare = (
        make_plan(load_config("miniature-azr", ["plan.device=cpu", f"azr.seeds={n}"]))
        for n in (64, 0)
    )
    assert seeded.sampled_tokens - bare.sampled_tokens == round(20 * 144 * 128 / 200)
    text = render(seeded)
    assert "seeds at most 2,880 in step 1 alone, proposals at most 144" in text
    assert "a step on average" in text
    assert "on average" not in render(plain)
    assert "tests of goalposts at most 3,824 every 10 steps" in render(renewal)


def test_a_teacher_with_weights_of_its_own_is_held_beside_the_student() -> None:
    one = make_plan(load_config("paper-gasp"))
    two = make_plan(load_config("paper-gasp", ["teacher.model=models/Qwen2.5-Coder-7B"]))
    assert (one.verdict, two.verdict) == ("fits", "too large")
    assert two.memory.other == one.memory.resident
    assert two.memory.peak == one.memory.peak + one.memory.resident
    assert "other" not in render(one)
    assert "teacher 7,615,616,512 parameters of its own" in render(two)
    small, large = "models/Qwen2.5-Coder-0.5B", "models/Qwen2.5-Coder-3B"
    plans = [
        make_plan(load_config("paper-gasp", [f"model.path={a}", f"teacher.model={b}"]))
        for a, b in ((small, large), (large, small))
    ]
    assert plans[0].memory.step == plans[1].memory.step  # the larger one's gradients, in both
    assert plans[0].sampling_seconds < plans[1].sampling_seconds
    offload = ["plan.devices=1", "engine.offload_optimizer=true"]
    host = make_plan(load_config("paper-gasp", [*offload, f"teacher.model={small}"])).memory.host
    assert host == 16 * (SEVEN.parameters + read_shape(Path(small)).parameters)


def test_two_policies_hold_what_is_planned() -> None:
    pytest.importorskip("torch", reason="the local engine needs the train extra")
    from gasp_rl.engines.factory import build_engine

    config = load_config("miniature-two-policies", ["plan.device=cpu"])
    assert config.teacher.model is not None
    held = 0
    for model in (config.model.path, config.teacher.model):
        engine = build_engine(config, assets.model_folder(model))
        row = Row(prompt=(3, 4), tokens_T=(5, 1), logprobs_T=(-1.0, -1.0), advantages_T=(1.0, 1.0))
        engine.forward_backward([row], config.loss)
        engine.optim_step(config.optim)
        moments = engine._optimizer.state_dict()["optimizer"]["state"].values()
        held += sum(weight.nbytes for weight in engine._model.parameters())
        held += sum(t.nbytes for state in moments for t in state.values() if t.ndim)
    assert make_plan(config).memory.resident == held


def test_what_is_held_at_once_is_one_call_not_a_step() -> None:
    asks = ["teacher.max_attempts=3", "engine.sample_rows=4096", "eval.every=0"]
    config = load_config("miniature", asks)
    held = loads(config, draws(config), 80)
    assert [(one.rows, one.prompts, one.completion) for one in held] == [
        (64, 8, 128),
        (1024, 64, 96),
        (128, 16, 96),
    ]
    trials = load_config("miniature", [*asks, "eval.every=1"])
    assert loads(trials, draws(trials), 80)[-1].rows == 4096


@pytest.mark.parametrize("world", ["miniature", "miniature-flat"])
def test_no_prompt_of_an_embedded_world_is_longer_than_a_plan_takes_it(world: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    folder = embedded_model(world)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompts, draw = load_prompts(folder), rng(0, 0, "prompts")
    questions = [q for split in SPLITS for q in assets.questions(world, split)]
    tasks = [Induction(q.reference, q.statement, q.shown, q.hidden) for q in questions]
    hardest = [t for t, q in zip(tasks, questions, strict=True) if q.difficulty == "9"]
    asked = [prompts.lemma(q, axis, 5) for q in questions for axis in (Axis.IO, Axis.F)]
    asked += [prompts.lift(t, axis, 5) for t in tasks for axis in (Axis.IO, Axis.F)]
    asked += [prompts.student(retell(t, kind, draw)) for t in tasks for kind in TaskKind]
    asked += [prompts.propose(Stage.DEDUCTION, hardest[i : i + 6], 5) for i in range(0, 60, 6)]
    longest = max(len(e.ids) for e in tokenizer.encode_batch(asked, add_special_tokens=False))
    assert 0.8 * LONGEST_PROMPT < longest <= LONGEST_PROMPT


def test_a_plan_says_whether_it_fits() -> None:
    asks = ["model.path=Qwen2.5-Coder-7B", "engine.dtype=bfloat16", "plan.device=rtx-4090"]
    plan = make_plan(load_config("miniature", asks))
    assert plan.verdict == "too large"
    bigger = make_plan(
        load_config(
            "miniature",
            [*asks[:2], "engine.lora_rank=32", "engine.sample_rows=128", "plan.device=h200"],
        )
    )
    assert bigger.verdict == "fits"


def test_a_measured_peak_is_said_beside_the_planned_one() -> None:
    config = load_config("miniature", ["plan.device=h200"])
    assert beside_plan(config, {}) is None
    for name in PEAKS:
        peak = {name: 1.1 * make_plan(config).memory.peak}
        line = beside_plan(config, peak)
        assert line is not None
        assert "(1.10 of it)" in line
    unknown = load_config("miniature", ["model.path=nowhere"])
    assert beside_plan(unknown, peak) is None


def test_prompt_and_completion_fit_into_the_models_positions() -> None:
    plans = [
        make_plan(load_config("miniature", ["plan.device=cpu", f"plan.prompt_tokens={n}"]))
        for n in (512 - 128, 4096)
    ]
    assert plans[0] == plans[1]


def test_the_command_prints_text_or_json_and_its_exit_code_tells() -> None:
    run, app = CliRunner(), build_app()
    assert isinstance(app, typer.Typer)
    words = ["plan", "miniature", "model.path=Qwen2.5-Coder-7B", "engine.dtype=bfloat16"]
    done = run.invoke(app, [*words, "plan.device=rtx-4090"])
    assert done.exit_code == 1
    assert "too large" in done.output
    words += ["engine.lora_rank=32", "engine.sample_rows=128", "plan.device=h200"]
    done = run.invoke(app, [*words, "--json"])
    assert done.exit_code == 0
    told = json.loads(done.output)
    assert told["shape"]["layers"] == 28
    plan = make_plan(load_config(words[1], words[2:]))
    assert told["peak"] == pytest.approx(plan.memory.peak)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "mamba"}, "model_type 'mamba'"),
        ({"model_type": "qwen2"}, "no dimensions"),
        ({"model_type": "qwen2", "hidden_size": "x"}, "no dimensions"),
    ],
)
def test_unknown_shapes_are_one_sentence(config: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        parse_shape(config, "config.json")


def test_unknown_names_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its name is none of"):
        read_shape(Path("models/gpt-9"))
    with pytest.raises(ConfigError, match="known devices are"):
        find_device("abacus")
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(DataError, match="not a JSON object"):
        read_shape(tmp_path)


@pytest.mark.parametrize(
    ("name", "sheet"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100-80gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA L40S", None),
    ],
)
def test_a_gpu_has_its_own_memory_and_the_speed_of_its_sheet(name: str, sheet: str | None) -> None:
    device = like(Gpu(name, 7.0))
    assert device.memory == 7.0
    assert device.flops == find_device(sheet or "l4").flops
    assert ("speed unknown" in device.name) == (sheet is None)


def test_lines_of_nvidia_smi() -> None:
    assert parse_gpus("NVIDIA H200, 143771\nbroken\n") == [("NVIDIA H200", 143771 * 2.0**20)]
    assert parse_gpus("") == []


def test_a_recipe_for_several_devices_in_one_process_is_pointed_to_torchrun() -> None:
    many = load_config("7b-8gpu", ["data.goalposts=miniature"])
    assert "torchrun --nproc-per-node 8" in (unshared(many, 1) or "")
    assert unshared(many, 8) is None
    assert unshared(load_config("miniature"), 1) is None
    assert unshared(load_config("7b-8gpu-tinker", ["data.goalposts=miniature"]), 1) is None
