"""Samples to numbers: stored, resumed, graded once, over real HTTP and a real sandbox."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import DataError, EngineError, StoreError
from gasp_rl.evals.endpoint import EndpointSampler
from gasp_rl.evals.extract import Extraction, extract, last_fence
from gasp_rl.evals.judge import Grading, judge
from gasp_rl.evals.prompts import Message, Style, load_prompter
from gasp_rl.evals.runner import Benchmark, evaluate, rescore, settings_of
from gasp_rl.evals.sample_files import evaluate_samples
from gasp_rl.evals.sampler import Ask, Sampling
from gasp_rl.evals.samples import SampleStore
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks.question import Form, Match, Question
from gasp_rl.types import Example, PassRate
from tests.problems.test_sets import DATA, needs_data

RIGHT = "Sure:\n```python\ndef f(x):\n    return sum(x)\n```\n"
WRONG = "```python\ndef f(x):\n    return 0\n```"


def addition(number: int) -> Question:
    return Question(
        id=f"add{number}",
        source="mine",
        form=Form.FUNCTION,
        statement=f"Add up x. ({number})",
        shown=(Example("[1, 2]", "3"),),
        hidden=(Example(f"[{number}, 1]", str(number + 1)),),
    )


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible server: a third of the requests fail at first; seeds decide right."""

    requests: list[dict[str, Any]]
    always: int = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        busy = body["seed"] % 3 == 0 and body not in self.server.requests
        self.server.requests.append(body)
        status = self.server.always or (503 if busy else 200)
        text = RIGHT if body["seed"] % 2 else WRONG
        content = {"message": {"content": text}} if "messages" in body else {"text": text}
        reply = {"choices": [{**content, "finish_reason": "stop"}], "usage": {}}
        data = json.dumps(reply if status == 200 else {"error": "busy"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server(("127.0.0.1", 0), Handler)
    opened.requests = []
    thread = threading.Thread(target=opened.serve_forever)
    thread.start()
    yield opened
    opened.shutdown()
    thread.join()
    opened.server_close()


def endpoint(server: Server, retries: int = 6) -> EndpointSampler:
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return EndpointSampler(url, "m", concurrency=3, retries=retries, sleep=lambda seconds: None)


def test_evaluation_stops_anywhere_and_resumes(
    tmp_path: Path, server: Server, sandbox: Sandbox
) -> None:
    benchmark = Benchmark("mine", tuple(addition(i) for i in range(12)))
    prompter, sampling = load_prompter(Style.CHAT), Sampling(temperature=1.0)
    sampler = endpoint(server)
    settings = settings_of(sampler, prompter, sampling, Grading(), 0)
    path = tmp_path / "samples.db"

    class Stopped(Exception):
        """Stands for a kill after the seventh reply."""

    class Dying:
        name = sampler.name

        def sample(self, asks: list[Ask], how: Sampling) -> Iterator[Any]:
            for count, reply in enumerate(sampler.sample(asks, how)):
                if count == 7:
                    raise Stopped
                yield reply

    with SampleStore(path, settings) as store, pytest.raises(Stopped):
        evaluate(benchmark, 4, Dying(), prompter, sampling, store, sandbox)
    with SampleStore(path, settings) as store:
        assert len(store.graded("mine")) == 7
        report = evaluate(benchmark, 4, sampler, prompter, sampling, store, sandbox)
        rows = store.graded("mine")
        assert len(rows) == 48
        assert {row.gradings for row in rows} == {1}
        for row in rows:
            assert row.judgement is not None
            assert row.judgement.solved == (row.sample.completion == RIGHT)
        solved = sum(row.sample.completion == RIGHT for row in rows)
        assert 10 < solved < 38
        assert report.estimates[1].value == pytest.approx(solved / 48)
        before = len(server.requests)
        again = evaluate(benchmark, 4, sampler, prompter, sampling, store, sandbox)
        assert again == report
        assert len(server.requests) == before
    sampler.close()
    with pytest.raises(StoreError, match=r"temperature = 1.0, not 0.5"):
        SampleStore(path, settings | {"temperature": 0.5})


def test_rescore_uses_the_tests_as_they_are_now(tmp_path: Path, sandbox: Sandbox) -> None:
    question = addition(1)
    harder = Question(
        id=question.id,
        source="mine",
        form=Form.FUNCTION,
        statement=question.statement,
        hidden=(Example("[]", "7"),),
    )
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps({"task_id": "add1", "solution": "def f(x): return sum(x)"}))
    with SampleStore(tmp_path / "s.db", {}) as store:
        benchmark = Benchmark("b", (question,))
        report, _ = evaluate_samples(file, benchmark, store, sandbox)
        assert report.estimates[1].value == 1
        with pytest.raises(StoreError, match="have changed"):
            store.register("b", (harder,))
        report = rescore(Benchmark("b", (harder,)), store, sandbox)
        assert report.estimates[1].value == 0
        assert [row.gradings for row in store.graded("b")] == [2]


def test_lasting_failures_are_one_clear_error(server: Server) -> None:
    ask = [Ask("text", 1)]
    server.always = 503
    with pytest.raises(EngineError, match="gave up after 3 tries; last: status 503"):
        list(endpoint(server, retries=2).sample(ask, Sampling()))
    assert len(server.requests) == 3
    server.always = 404
    with pytest.raises(EngineError, match="status 404"):
        list(endpoint(server).sample(ask, Sampling()))
    assert len(server.requests) == 4
    known = endpoint(server, retries=1)
    with pytest.raises(EngineError, match="status 404"):
        list(known.sample(ask, Sampling()))
    server.shutdown()
    server.server_close()
    with pytest.raises(EngineError, match="gave up after 2 tries"):
        list(known.sample(ask, Sampling()))
    with pytest.raises(EngineError, match=r"nothing answers there.*running"):
        list(endpoint(server).sample(ask, Sampling()))


@pytest.mark.parametrize("url", ["http://", "http:///v1", "http://h:99999999/v1", "http://[::1"])
def test_an_address_that_is_none_is_one_sentence(url: str) -> None:
    with pytest.raises(EngineError, match=r"^http"):
        EndpointSampler(url, "m")


def test_completions_made_elsewhere_in_both_formats(tmp_path: Path, sandbox: Sandbox) -> None:
    benchmark = Benchmark("b", (addition(1), addition(2)))
    evalplus = tmp_path / "evalplus.jsonl"
    rows = [
        {"task_id": "add1", "solution": "def f(x): return sum(x)"},
        {"task_id": "add2", "completion": "def f(x): return 1"},
        {"task_id": "elsewhere", "solution": ""},
    ]
    evalplus.write_text("\n".join(map(json.dumps, rows)))
    with SampleStore(tmp_path / "a.db", {}) as store:
        report, unmatched = evaluate_samples(evalplus, benchmark, store, sandbox)
        assert (unmatched.samples, unmatched.questions) == (1, 1)
        assert store.counts("b") == {"add1": PassRate(1, 1), "add2": PassRate(0, 1)}
        assert report.estimates[1].value == 0.5
    lcb = tmp_path / "lcb.json"
    items = [{"question_id": "add1", "output_list": [RIGHT, "no code"]},
             {"question_id": "add2", "code_list": ["def f(x): return sum(x)", "1/0"]}]  # fmt: skip
    lcb.write_text(json.dumps(items))
    with SampleStore(tmp_path / "b.db", {}) as store:
        evaluate_samples(lcb, benchmark, store, sandbox)
        assert set(store.counts("b").values()) == {PassRate(1, 2)}
        assert store.verdicts("b") == {"OK": 2, "NO_ANSWER": 1, "RUNTIME_ERROR": 1}
    for text, message in (
        ("{}", "JSON list"),
        ("[3]", "item 1 must be an object"),
        ("[{}]", "no task_id"),
        ('[{"question_id": "add1"}]', "no solution"),
        ('[{"question_id": "add1", "code_list": [3]}]', "must be a string"),
        ('[{"question_id": "other", "code_list": []}]', "none of its samples belongs"),
    ):
        lcb.write_text(text)
        with SampleStore(tmp_path / "c.db", {}) as store, pytest.raises(DataError, match=message):
            evaluate_samples(lcb, benchmark, store, sandbox)


def test_an_empty_test_list_never_counts_as_solved(sandbox: Sandbox) -> None:
    for form in (Form.FUNCTION, Form.STDIN, Form.METHOD, Form.ASSERTS):
        untested = Question(id="u", source="s", form=form, statement="u")
        for answer in ("def f(): pass", ""):
            with pytest.raises(DataError, match="no tests"):
                judge(sandbox, [(untested, answer)])


@pytest.mark.parametrize(
    ("match", "expected", "code", "solved"),
    [
        (Match.CLOSE, "0.3", "return 0.1 + 0.2", True),
        (Match.CLOSE, "0.3", "return 0.301", False),
        (Match.CLOSE, "[0.5, 1.5]", "return [0.5 + 1e-8, 1.5]", True),
        (Match.CLOSE, "[0.5, 1.5]", "return (0.5 + 1e-8, 1.5)", False),
        (Match.CLOSE, "[0.5, 1.5]", "return [0.5]", False),
        (Match.SET, "(1, 2)", "return [2, 1, 1]", True),
        (Match.SET, "(1, 2)", "return [2]", False),
        (Match.SET, "(1, 2)", "return [[1], 2]", False),
        (Match.PRESENCE, "True", "import re; return re.match('a', 'a')", True),
        (Match.PRESENCE, "True", "return None", False),
        (Match.PRESENCE, "False", "return 'Not matched!'", False),
        (Match.ANY, "True", "return 'anything'", True),
        (Match.ANY, "True", "return 1 / 0", False),
        (Match.OR_ZERO, "6", "return 0", True),
        (Match.OR_ZERO, "6", "return 5", False),
        (Match.ROOT, "2.0", "return -2.0", True),
        (Match.ROOT, "2.0", "return 'x'", False),
        (Match.ROOT, "2.0", "return float('nan')", False),
    ],
)
def test_matches(match: Match, expected: str, code: str, solved: bool, sandbox: Sandbox) -> None:
    question = Question(
        id="q",
        source="s",
        form=Form.FUNCTION,
        statement="",
        hidden=(Example("[-4.0, 0.0, 1.0]", expected),),
        match=match,
        atol=1e-4 if match is Match.ROOT else 0.0,
    )
    (judgement,) = judge(sandbox, [(question, f"def f(x):\n    {code}")])
    assert judgement.solved is solved


@given(st.text(max_size=200), st.sampled_from(Extraction))
def test_extraction_never_raises(text: str, how: Extraction) -> None:
    assert isinstance(extract(text, how), str)


def test_extraction_rules() -> None:
    assert last_fence("a\n```python\nx = 1\n```\nb\n```\ny = 2\n```") == "y = 2"
    assert last_fence("```python\nnever closed") == ""
    tagged = "<think>```python\n0\n```</think><answer>```python\n1\n```</answer> ```python\n2\n```"
    assert extract(tagged, Extraction.ANSWER_TAG) == "1"
    assert extract("<answer> [1, 2] </answer>", Extraction.ANSWER_TAG).strip() == "[1, 2]"


@needs_data
def test_extraction_equals_livecodebench_on_every_graded_answer() -> None:
    path = DATA / "livecodebench" / "graded_solutions.jsonl.gz"
    with gzip.open(path, "rt") as stream:
        rows = [json.loads(line) for line in stream]
    assert len(rows) == 1474
    assert all(last_fence(row["output"]) == row["code"] for row in rows)


def test_prompts_show_what_they_may_and_nothing_else() -> None:
    question = addition(41)
    for style in set(Style) - {Style.OWN}:
        prompter = load_prompter(style)
        for form in Form:
            asked = Question(
                id="q",
                source="s",
                form=form,
                statement="STATEMENT {program}",
                starter_code="def f(x): pass  # STARTER",
                hidden=(Example("'GIVEN'", "'WANTED'"),),
                asserts="assert SECRET",
                reference="REFERENCE",
            )
            prompt = prompter.prompt(asked)
            text = prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)
            assert "SECRET" not in text
            assert "REFERENCE" not in text
            assert ("GIVEN" in text) == (form is Form.OUTPUT)
            assert ("WANTED" in text) == (form is Form.INPUT)
            assert "STARTER" in text
            assert ("STATEMENT {program}" in text) == (form not in (Form.OUTPUT, Form.INPUT))
        shown = prompter.prompt(question)
        shown = shown if isinstance(shown, str) else shown[-1].content
        assert "f([1, 2]) == 3" in shown
        assert "42" not in shown


def test_template_files_replace_prompts(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    texts = "".join(f'{form.value} = "{form.value}: {{question}}"\n' for form in Form)
    path.write_text(f'version = "7"\n[chat]\n{texts}')
    prompter = load_prompter(Style.CHAT, path)
    assert prompter.version == "ours.toml:7"
    assert prompter.prompt(Question(id="", source="", form=Form.STDIN, statement="S")) == (
        Message("user", "stdin: S"),
    )
    with pytest.raises(DataError, match=r"no section \[completion\]"):
        load_prompter(Style.COMPLETION, path)
    path.write_text(f'version = "7"\n[chat]\n{texts}'.replace("stdin: {question}", "{quetsion}"))
    with pytest.raises(DataError, match=r"\[chat\] stdin holds neither \{question\} nor"):
        load_prompter(Style.CHAT, path)
    path.write_text("[chat]\n" + texts)
    with pytest.raises(DataError, match="no version"):
        load_prompter(Style.CHAT, path)
    path.write_text("nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        load_prompter(Style.CHAT, path)
