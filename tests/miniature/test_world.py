"""The miniature world: its Python does what its arithmetic says, and its questions are sound."""

from itertools import combinations

import numpy as np
import pytest

from gasp_rl.miniature import assets
from gasp_rl.miniature.corpus import Corpus, literal
from gasp_rl.miniature.questions import as_question, build_questions
from gasp_rl.miniature.vocabulary import UNKNOWN, build_tokenizer
from gasp_rl.miniature.world import (
    FAMILIES,
    FLAT,
    SKEWED,
    Step,
    describes,
    draw_inputs,
    draw_question,
    program,
    rare_share,
    recognise,
    run,
    statement,
)
from gasp_rl.rng import rng
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.sandbox import Func, Sandbox
from gasp_rl.types import Axis

EVERY_STEP = [Step(f.name, c) for f in FAMILIES for c in f.constants or (0,)]


def test_each_step_written_in_python_computes_what_the_world_says() -> None:
    inputs = draw_inputs(40, rng(0, 0, "test/inputs"))
    texts = tuple(literal(x) for x in inputs)
    with Sandbox() as sandbox:
        results = sandbox.map([Func(program((step,)), texts) for step in EVERY_STEP])
    for step, result in zip(EVERY_STEP, results, strict=True):
        expected = tuple(literal(run((step,), x)).encode() for x in inputs)
        assert result.outputs == expected, step


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda s: f"{s.family}-{s.constant}")
def test_programs_are_recognised_and_nothing_else(step: Step) -> None:
    code = program((step, Step("reverse")))
    assert recognise(code) == (step, Step("reverse"))
    assert recognise(code.replace("return x", "return y")) is None
    assert recognise(code + "\nimport os") is None


def test_the_share_of_rare_families_counts_steps() -> None:
    steps = (Step("sort"), Step("add", 3), Step("scan"), Step("reverse"))
    assert rare_share(program(steps)) == 0.5
    assert rare_share(program(steps[1:2])) == 0.0
    assert rare_share("import os") is None


@pytest.mark.parametrize("depth", [1, 3, 6, 8])
def test_no_shorter_pipeline_passes_a_question(depth: int) -> None:
    random = rng(0, depth, "test/sound")
    for _ in range(20):
        question = draw_question(depth, SKEWED.pool_weights(), random)
        assert question.depth == depth
        pairs = question.pairs()
        for size in range(depth):
            for shorter in combinations(question.pipeline, size):
                assert any(run(shorter, x) != y for x, y in pairs)


def test_hidden_constants_are_not_in_the_statement() -> None:
    assert statement((Step("add", 7, hidden=True), Step("sort"))) == "Take x; add ?; sort"


def test_splits_share_nothing_and_training_keeps_the_gap() -> None:
    splits = build_questions(SKEWED)
    keys = [q.key for questions in splits.values() for q in questions]
    assert len(keys) == len(set(keys))
    assert {q.difficulty for q in splits["train"]} == {"1", "2", "3"}
    assert {q.difficulty for q in splits["candidates"]} == {"6", "7", "8", "9"}
    assert {q.difficulty for q in splits["test"]} == {str(d) for d in range(1, 10)}
    assert build_questions(SKEWED)["test"] == splits["test"]


def test_common_questions_are_easy_and_have_nothing_of_the_rare_families() -> None:
    common = assets.questions("miniature", "common")
    assert common == build_questions(SKEWED)["common"]
    assert {q.difficulty for q in common} == {"1", "2", "3"}
    assert {rare_share(q.reference or "") for q in common} == {0.0}
    assert any(rare_share(q.reference or "") for q in assets.questions("miniature", "train"))


def test_the_control_world_has_neither_gap_nor_skew() -> None:
    assert FLAT.pool_depths == (1, 2, 3, 4, 5)
    assert np.allclose(FLAT.corpus_weights(), FLAT.pool_weights())
    assert not np.allclose(SKEWED.corpus_weights(), SKEWED.pool_weights())


def test_the_corpus_is_tokenized_without_loss_and_stays_shallow() -> None:
    import tomllib
    from importlib import resources

    text = (resources.files("gasp_rl.miniature") / "prompts.toml").read_text(encoding="utf-8")
    corpus = Corpus(SKEWED, tomllib.loads(text), rng(0, 0, "test/corpus"))
    tokenizer = build_tokenizer()
    unknown = tokenizer.token_to_id(UNKNOWN)
    kinds = set()
    for document in corpus.documents(600):
        kinds.add(document.kind)
        whole = document.prompt + document.completion
        ids = tokenizer.encode(whole).ids
        assert unknown not in ids
        assert tokenizer.decode(ids) == whole
        if "```python" in document.completion:
            code = document.completion.split("```python\n")[1].split("\n```")[0]
            pipeline = recognise(code)
            assert pipeline is not None
            assert len(pipeline) <= max(SKEWED.corpus_depths)
    assert kinds == set(Corpus.SHARES)


def test_self_play_prompts_are_those_of_the_corpus() -> None:
    from importlib import resources

    from gasp_rl.roles.prompts import parse_prompts

    path = resources.files("gasp_rl.miniature") / "prompts.toml"
    book = parse_prompts(path.read_text(encoding="utf-8"), "prompts.toml")
    question = as_question(
        draw_question(7, SKEWED.pool_weights(), rng(0, 0, "test/prompt")), "q", "test"
    )
    tokenizer = build_tokenizer()
    for axis in (Axis.IO, Axis.F):
        prompt = book.lemma(question, axis, 5)
        assert tokenizer.token_to_id(UNKNOWN) not in tokenizer.encode(prompt).ids
        assert prompt != load_prompts().lemma(question, axis, 5)


def test_a_message_describes_its_own_program_and_no_other() -> None:
    pipeline = (Step("add", 3, hidden=True), Step("cap", 5), Step("reverse"))
    code = program(pipeline)
    assert describes("Take x; add ?; cap at 5; reverse", code)
    assert describes("Take x; add 3; cap at ?; reverse", code)
    assert not describes("Take x; add 4; cap at 5; reverse", code)
    assert not describes("Take x; add 3; cap at 5", code)
    assert not describes("Take x; add 3; cap at 5; reverse; reverse", code)
    assert not describes("Take x; cap at 5; add 3; reverse", code)
    assert not describes("Take x; add 3; cap at 5; reverseHarder mapping.", code)
    assert not describes("Take x; add 3; cap at 5; reverse", code.replace("x[::-1]", "list(x)"))
