"""Every shipped recipe can be looked at without its model and its data."""

import os
import re
from functools import reduce
from pathlib import Path

import pytest

from gasp_rl.config import Config, known_keys, load_config, recipe_names
from gasp_rl.methods.dry_run import describe
from gasp_rl.methods.session import load_pool
from gasp_rl.planning.plan import make_plan

DATA = Path(os.environ.get("GASP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
LARGE = [n for n in recipe_names() if n.startswith("paper") or re.match(r"[\d.]+b-", n)]
ROWS = [n for n in LARGE if n.startswith("paper")]


@pytest.fixture(autouse=True)
def _nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GASP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", [n for n in recipe_names() if n != "lcb-dry-run"])
def test_every_recipe_can_be_looked_at_offline(name: str) -> None:
    text = describe(load_config(name))
    assert '"method"' in text
    assert "peak " in text
    assert "hours " in text
    assert "\n--- " in text
    assert ("not here" in text) == (name in LARGE)


def test_the_dry_run_with_a_random_model_too() -> None:
    pytest.importorskip("torch", reason="the random model is made with the train extra")
    text = describe(load_config("lcb-dry-run"))
    assert "lemma prompt" in text
    assert "not here: lcb-v5-train" in text


@pytest.mark.parametrize("name", ["paper-gasp", "paper-rlvr"])
def test_prompts_show_real_questions_where_they_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not DATA.is_dir():
        pytest.skip(f"real questions are not here: {DATA} (set GASP_TEST_DATA)")
    monkeypatch.setenv("GASP_DATA", str(DATA))
    config = load_config(name)
    text = describe(config)
    assert "the prompts show a question of data.pool" in text
    prompt = text[text.index("\n--- ") :]
    assert load_pool(config)[0].question.statement.strip() in prompt


@pytest.mark.parametrize("name", LARGE)
def test_large_recipes_fit_and_say_what_was_not_run(name: str) -> None:
    config = load_config(name)
    assert "not yet run on a GPU" in config.hardware
    assert make_plan(config).verdict == "fits"
    stated = re.search(r"(\d+) (?:H100 80 GB|GPUs? with)", config.hardware)
    assert stated is not None
    assert config.plan.devices == int(stated[1])


def test_the_papers_numbers() -> None:
    config = load_config("paper-gasp")
    assert (config.steps, config.probe.n, config.optim.lr) == (50, 10, 1e-6)
    assert (config.teacher.shown, config.teacher.inputs, config.student.tasks) == (2, 5, 64)
    assert config.teacher.goalposts_per_round * config.teacher.proposals_per_prompt == 64
    assert config.novelty.threshold == 0.95
    rlvr = load_config("paper-rlvr")
    assert (rlvr.steps, rlvr.rlvr.questions, rlvr.rlvr.attempts) == (500, 64, 8)
    assert (
        rlvr.store.checkpoint_every == rlvr.store.keep_every == 50
    )  # goalposts are mined with them
    azr = load_config("paper-azr")
    assert (azr.azr.compat, azr.teacher.inputs, azr.teacher.shown) == ("azr-paper", 10, 5)
    assert (azr.loss.entropy_coef, azr.loss.clip_high, azr.optim.weight_decay) == (0.001, 0.2, 0.01)
    medium = load_config("paper-one-step-medium").teacher.lemma
    assert (medium.low, medium.high, medium.peak, medium.sharpness) == (0.1, 0.5, 0.3, 5)
    hard = load_config("paper-one-step-hard").teacher
    assert hard.lemma == hard.lift
    assert "Qwen2.5-Coder-7B" in config.model.path


def _at(config: Config, key: str) -> object:
    return reduce(getattr, key.split("."), config)


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("paper-no-io", {"teacher.axes"}),
        ("paper-no-novelty", {"novelty.enabled", "steps"}),
        ("paper-gasp-rlvr", {"method"}),
        (
            "paper-rlvr",
            {"method", "steps", "eval.every", "store.checkpoint_every", "store.keep_every"},
        ),
        ("7b-8gpu", {"hardware", "plan.devices"}),
        ("7b-80gb-lora", {"hardware", "plan.devices", "engine.lora_rank", "optim.lr"}),
    ],
)
def test_a_row_differs_from_the_main_one_in_what_it_says_alone(
    name: str, differs: set[str]
) -> None:
    base, row = load_config("paper-gasp"), load_config(name)
    found = {k for k in known_keys() if _at(base, k) != _at(row, k)}
    assert found == differs | {"name"}


def test_all_rows_of_the_papers_table_are_there() -> None:
    assert {n.removeprefix("paper-") for n in ROWS} == {
        "gasp",
        "azr",
        "rlvr",
        "gasp-rlvr",
        "no-io",
        "no-novelty",
        "one-step-medium",
        "one-step-hard",
    }
