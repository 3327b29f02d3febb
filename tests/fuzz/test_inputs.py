"""Files and arguments of users, mutated: taken whole, or refused in one sentence."""

import contextlib
import gzip
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp_rl.config import Config, known_keys, load_config, override_config, recipe_names
from gasp_rl.errors import ConfigError, DataError, GaspError
from gasp_rl.goalposts.file import read_goalposts
from gasp_rl.problems.schema import load_questions, question_line
from gasp_rl.store.checkpoints import list_checkpoints, verify_checkpoint, write_checkpoint
from gasp_rl.tasks import Form, Question
from gasp_rl.types import Example

MUTATED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

QUESTION = Question(
    id="q",
    source="s",
    form=Form.FUNCTION,
    statement="Add 1.",
    shown=(Example("1", "2"),),
    hidden=(Example("2", "3"),),
)
QUESTIONS = (question_line(QUESTION) + "\n").encode()
GOALPOSTS = b'{"goalposts": 1, "count": 1, "provenance": {}}\n' + QUESTIONS


@st.composite
def mutations(draw: st.DrawFn, original: bytes) -> bytes:
    """A few insertions, deletions and repetitions of pieces, or something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = original
    pieces = [b"", b"\x00", b"\xff", b"[" * 2000, b"{", b'"', b"9" * 5000, b"\n", b"=", b"1e999"]
    pieces += [b"\\ud800", b"null", b"nan", b"true", b"-1", b"'''", b"\xe2\x80\xae"]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        data = data[:start] + draw(st.sampled_from([*pieces, data[start:end] * 2])) + data[end:]
    return data


def one_sentence(error: GaspError) -> None:
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) < 2000


@MUTATED
@given(st.data())
def test_recipes(tmp_path: Path, data: st.DataObject) -> None:
    shipped = resources.files("gasp_rl") / "recipes" / f"{data.draw(recipe())}.toml"
    path = tmp_path / "recipe.toml"
    path.write_bytes(data.draw(mutations(shipped.read_bytes())))
    try:
        config = load_config(path)
    except ConfigError as error:
        one_sentence(error)
    else:
        assert Config.model_validate_json(config.model_dump_json()) == config


def recipe() -> st.SearchStrategy[str]:
    return st.sampled_from(recipe_names())


@MUTATED
@given(
    st.sampled_from([*known_keys(), "", ".", "steps.", "optim", "\u202e", "a" * 4000]),
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(["[" * 2000, "{}", "nan", "inf", "-1", "1e400", "'\\u0000'", "9" * 5000]),
    ),
)
def test_overrides(key: str, value: str) -> None:
    try:
        config = override_config(Config(), [f"{key}={value}"], "test")
    except ConfigError as error:
        one_sentence(error)
    else:
        assert Config.model_validate_json(config.model_dump_json()) == config


@MUTATED
@given(mutations(QUESTIONS), st.booleans())
def test_question_files(tmp_path: Path, content: bytes, zipped: bool) -> None:
    path = tmp_path / ("questions.jsonl" + ".gz" * zipped)
    path.write_bytes(gzip.compress(content, 1)[: len(content)] if zipped else content)
    try:
        found = load_questions(path).questions
    except DataError as error:
        one_sentence(error)
    else:
        assert all(q.statement and (q.shown or q.hidden) for q in found)


@MUTATED
@given(mutations(GOALPOSTS))
def test_goalpost_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "goalposts.jsonl"
    path.write_bytes(content)
    try:
        found = read_goalposts(path).goalposts
    except DataError as error:
        one_sentence(error)
    else:
        assert all(0 < g.bound() <= 1 for g in found)


@MUTATED
@given(st.data())
def test_manifests(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    path = write_checkpoint(folder, 1, lambda to: (to / "w").write_bytes(b"weights") and None, 0.5)
    manifest = path / "manifest.json"
    original = manifest.read_bytes()
    manifest.write_bytes(data.draw(mutations(original)))
    assert [c.step for c in list_checkpoints(folder)] == [1]
    with contextlib.suppress(GaspError):
        verify_checkpoint(path)
    (path / "w").write_bytes(b"changed")
    with pytest.raises(GaspError) as caught:
        verify_checkpoint(path)
    one_sentence(caught.value)
