"""Configuration: every shipped recipe resolves; a wrong one says what to do in one sentence."""

from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.config import (
    Config,
    describe_keys,
    known_keys,
    load_config,
    parse_config,
    recipe_names,
)
from gasp_rl.errors import ConfigError

LEMMA = ("lemma.low", "lemma.high", "lemma.peak")


def at(config: Config, key: str) -> object:
    return reduce(getattr, key.split("."), config)


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_resolve_and_name_their_hardware(name: str) -> None:
    config = load_config(name)
    assert config.hardware
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_defaults_are_the_papers() -> None:
    config = Config()
    assert config.probe.n == 10
    assert (config.teacher.shown, config.teacher.inputs) == (2, 5)
    assert (config.student.tasks, config.rlvr.attempts) == (64, 8)
    assert (config.novelty.threshold, config.optim.lr, config.loss.kl_coef) == (0.95, 1e-6, 0)
    lemma, lift = config.teacher.lemma, config.teacher.lift
    assert (lemma.low, lemma.high, lemma.peak, lemma.sharpness) == (0.3, 0.7, 0.5, 5)
    assert (lift.low, lift.high, lift.peak, lift.sharpness) == (0.1, 0.5, 0.1, 1)


def test_overrides_reach_their_key() -> None:
    config = load_config("miniature", ["steps=7", "teacher.lift.low=0.05", "name=mine"])
    assert (config.steps, config.teacher.lift.low, config.name) == (7, 0.05, "mine")
    assert config.teacher.lift.high == 0.5


def test_a_number_where_words_belong_is_a_word() -> None:
    config = load_config("miniature", ["name=2026", "model.path=7"])
    assert (config.name, config.model.path) == ("2026", "7")


def test_words_where_a_list_belongs_are_its_members() -> None:
    config = load_config(
        "miniature", ["teacher.axes=io, f", "eval.temperatures=0.5", "track=wandb"]
    )
    assert (config.teacher.axes, config.track) == (("io", "f"), ("wandb",))
    assert config.eval.temperatures == (0.5,)
    assert load_config("miniature", ["track="]).track == ()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["seed=true"], "seed: takes no true or false"),
        (["optim.lr=true"], r"optim\.lr: takes no true or false"),
        (["optim.betas=[true, 0.9]"], r"optim\.betas: takes no true or false"),
        (["name=false"], "name: takes no true or false"),
        (["lr=3"], r"unknown key lr; did you mean optim\.lr\?"),
        (["temperature=1"], r"mean probe\.temperature or teacher\.sampling\.temperature or"),
        (["teacher.axes="], "axes must name at least one of io, f"),
        (["name=my run"], "name: takes letters, digits"),
        (["stepps=3"], "unknown key stepps; did you mean steps?"),
        (["optim.lrr=1"], r"unknown key optim\.lrr; did you mean optim\.lr\?"),
        (["steps=0"], "steps: Input should be greater than or equal to 1"),
        (["steps"], "write it as key.path=value"),
        (["steps=7\nseed=1"], "steps: Input should be a valid integer"),
        (["steps.x=1"], "steps is a value, not a section"),
        (["teacher.shown=5"], "shown 5 must be below inputs 5"),
        (["teacher.lemma.low=0.9"], "must be in this order"),
        (["azr.composite.least=3"], r"azr\.composite: composite: least 3 must not be above most 2"),
        (["alignment.reference=true"], "reference is for measure likelihood, and measure is none"),
        (["method=magic"], "method"),
        (["name=../up"], "name"),
    ],
)
def test_bad_overrides_are_one_sentence(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_config("miniature", overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["azr", "rlvr"])
@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("teacher.model=elsewhere", "teacher.model='elsewhere'"),
        ("teacher.lifts=0", "teacher.lifts=0"),
        ("teacher.lifts=5", "teacher.lifts=5"),
        ("teacher.axis_check=log", "teacher.axis_check='log'"),
        ("teacher.guide=pool", "teacher.guide='pool'"),
        ("teacher.axes=f", "teacher.axes=('f',)"),
        ("renewal.every=10", "renewal.every=10"),
        ("alignment.measure=words", "alignment.measure='words'"),
        ("alignment.weight=0.5", "alignment.weight=0.5"),
    ],
)
def test_switches_that_a_method_would_ignore_are_refused(
    method: str, override: str, named: str
) -> None:
    for guided in ("gasp", "gasp+rlvr"):
        load_config("miniature", [f"method={guided}", override])
    with pytest.raises(ConfigError) as caught:
        load_config("miniature", [f"method={method}", override])
    assert str(caught.value) == (
        f"recipe miniature: {named} is for method=gasp and gasp+rlvr, and method={method} would "
        "ignore it; leave it out"
    )


def test_unused_sizes_may_be_inherited() -> None:
    sizes = ["teacher.min_accepted=3", "teacher.mastery=0.1", "renewal.active=9"]
    assert load_config("miniature", ["method=azr", *sizes]).renewal.active == 9


def test_missing_and_broken_recipes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean miniature"):
        load_config("minature")
    with pytest.raises(ConfigError, match="no such recipe file"):
        load_config(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("steps = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(broken)
    broken.write_text("\ufeffsteps = 7")  # what some editors put first is no mistake
    assert load_config(broken).steps == 7
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(broken)


def test_a_recipe_holds_only_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "miniature"\nsteps = 9\n[teacher.lemma]\nlow = 0.2\n')
    (tmp_path / "b.toml").write_text('base = "a.toml"\nname = "b"\n[teacher.lemma]\nhigh = 0.8\n')
    base, config = load_config("miniature"), load_config(tmp_path / "b.toml", ["seed=4"])
    assert (config.name, config.steps, config.seed) == ("b", 9, 4)
    lemma = base.teacher.lemma.model_copy(update={"low": 0.2, "high": 0.8})
    assert config.teacher == base.teacher.model_copy(update={"lemma": lemma})
    assert config.optim == base.optim


def test_bases_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text('base = "b.toml"\n')
    (tmp_path / "b.toml").write_text('base = "a.toml"\n')
    with pytest.raises(ConfigError, match="base goes in a circle"):
        load_config("a.toml")
    (tmp_path / "b.toml").write_text('base = "minature"\n')
    with pytest.raises(ConfigError, match="did you mean miniature"):
        load_config("a.toml")
    (tmp_path / "b.toml").write_text("base = 3\n")
    with pytest.raises(ConfigError, match="name one recipe"):
        load_config("a.toml")


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("no-io", {"teacher.axes"}),
        ("no-novelty", {"novelty.enabled"}),
        ("one-step-medium", {f"teacher.{k}" for k in ("lifts", *LEMMA)}),
        (
            "one-step-hard",
            {f"teacher.{k}" for k in ("lifts", *LEMMA)} | {"teacher.lemma.sharpness"},
        ),
        ("unguided", {"teacher.guide"}),
        ("gasp-rlvr", {"method", "rlvr.questions"}),
    ],
)
def test_an_ablation_differs_from_its_base_in_what_it_says_alone(
    name: str, differs: set[str]
) -> None:
    base, ablation = load_config("miniature"), load_config(f"miniature-{name}")
    assert {k for k in known_keys() if at(base, k) != at(ablation, k)} == differs | {"name"}


def test_one_step_bands_are_the_papers() -> None:
    medium = load_config("miniature-one-step-medium").teacher.lemma
    assert (medium.low, medium.high, medium.peak, medium.sharpness) == (0.1, 0.5, 0.3, 5)
    teacher = load_config("miniature-one-step-hard").teacher
    assert teacher.lemma == teacher.lift


@given(st.dictionaries(st.sampled_from(["steps", "optim", "teacher", "x"]), st.integers(-9, 9)))
def test_a_tree_is_taken_exactly_when_all_of_it_is_sound(tree: dict[str, int]) -> None:
    if set(tree) <= {"steps"} and tree.get("steps", 1) >= 1:
        assert parse_config(dict(tree), "test").steps == tree.get("steps", 50)
    else:
        with pytest.raises(ConfigError, match=r"^test: "):
            parse_config(dict(tree), "test")


def test_every_setting_says_what_it_means() -> None:
    assert [path for path, _, meaning in describe_keys() if not meaning and "." in path] == []
    assert len(known_keys()) == len(set(known_keys()))
