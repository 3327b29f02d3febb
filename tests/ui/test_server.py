"""The explorer's server: answers, refusals and the event stream, without a browser."""

import http.client
import json
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from small_runs import small_run, step_record

from gasp_rl.types import PassRate
from gasp_rl.ui import api
from gasp_rl.ui.server import ANSWERS


def _get(url: str, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=sent)
    return connection.getresponse()


def _json(url: str, path: str) -> object:
    return json.loads(_get(url, path).read())


def test_every_question_about_a_run_has_an_answer(site) -> None:
    lines = _json(site.url, "/api/runs")
    assert [line["run"] for line in lines] == ["first", "second"]
    node = _json(site.url, "/api/run/proposals?run=first&verdict=accepted&stage=lift")["rows"][0]
    rollout = _json(site.url, "/api/run/rollouts?run=first&purpose=attempt")["rows"][0]
    ids = {"node": node["id"], "goalpost": node["goalpost"], "goalpost_line": node["goalpost"]}
    ids |= {"rollout": rollout["id"], "group": rollout["group"]}
    for what in ANSWERS:
        answer = _json(site.url, f"/api/run/{what}?run=first&id={quote(ids.get(what, ''))}")
        assert answer, what
        assert "error" not in answer, what
    full = _json(site.url, f"/api/run/node?run=first&id={node['id']}")
    assert [step["id"] for step in full["lineage"]] == [node["parent"], node["id"]]
    assert full["parent_program"].startswith("def f(x):")
    assert {"low", "high"} <= full["summary"]["pass_rate"].keys()


def test_pages_and_counts_agree(site) -> None:
    total = _json(site.url, "/api/run/proposals?run=first")["total"]
    assert sum(row["count"] for row in _json(site.url, "/api/run/funnel?run=first")) == total
    seen = []
    while len(seen) < total:
        page = _json(site.url, f"/api/run/proposals?run=first&limit=100&offset={len(seen)}")
        seen += [row["id"] for row in page["rows"]]
    assert len(set(seen)) == total


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_writing_verbs_are_refused(site, method: str) -> None:
    assert _get(site.url, "/api/runs", method).status == 405


def test_foreign_hosts_and_origins_are_refused(site) -> None:
    assert _get(site.url, "/", Host="evil.example").status == 400
    assert _get(site.url, "/", Host="127.0.0.1.evil.example").status == 400
    assert _get(site.url, "/api/runs", Origin="http://evil.example").status == 403
    assert _get(site.url, "/api/runs", Origin="null").status == 403
    own = urlsplit(site.url).netloc
    assert _get(site.url, "/api/runs", Origin=f"http://{own}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/config.py",
        "/static//etc/passwd",
        "/api/run/overview?run=..%2f..%2fetc",
        "/api/run/overview?run=%2fetc",
        "/api/run/overview?run=.",
        "/api/run/overview?run=first%00",
        "/api/run/secrets?run=first",
        "/api/run/node?run=first&id=%27%20or%201=1--",
    ],
)
def test_nothing_outside_the_runs_is_served(site, path: str) -> None:
    answer = _get(site.url, path)
    assert answer.status == 404
    assert b"root:" not in answer.read()


@pytest.mark.parametrize("query", ["limit=x", "first_step=nan", "min_reward=inf", "offset=1e9"])
def test_numbers_that_are_none_are_one_sentence(site, query: str) -> None:
    answer = _get(site.url, f"/api/run/rollouts?run=first&{query}")
    assert answer.status == 404
    assert "number" in json.loads(answer.read())["error"]


def test_security_headers_are_on_every_answer(site) -> None:
    for path in ("/", "/static/explorer.js", "/api/runs", "/nothing"):
        headers = _get(site.url, path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_a_token_guards_other_hosts(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from gasp_rl.ui.server import build_app

    small_run(tmp_path).close()
    client = TestClient(build_app(tmp_path, hosts={"lab"}, token="secret"), base_url="http://lab")
    assert client.get("/api/runs").status_code == 403
    assert client.get("/api/runs?token=wrong").status_code == 403
    assert client.get("/?token=secret").status_code == 200
    assert client.get("/api/runs").status_code == 200  # the cookie that the token gave


def test_answers_are_json_whatever_a_model_wrote(hostile_site) -> None:
    raw = _get(hostile_site.url, "/api/run/node?run=small&id=3.lemma.0").read()
    raw.decode("ascii")
    node = json.loads(raw)
    assert node["program"].startswith("<script>")
    assert "\ud800" in node["program"]
    assert "[cut here: 10,1" in node["program"]
    assert len(raw) < 2_000_000


def test_plain_data_has_no_nan_and_keeps_intervals() -> None:
    assert api.plain({"a": float("nan"), "b": (1, float("inf"))}) == {"a": None, "b": [1, None]}
    rate = api.plain(PassRate(3, 10))
    assert (rate["correct"], round(rate["low"], 4), round(rate["high"], 4)) == (3, 0.1078, 0.6032)


def _events(url: str, count: int) -> list[dict[str, str]]:
    events: list[dict[str, str]] = []
    with urllib.request.urlopen(url, timeout=10) as answer:
        fields: dict[str, str] = {}
        while len(events) < count:
            line = answer.readline().decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                events.append(fields)
                fields = {}
            else:
                fields = {}
    return events


def test_events_follow_a_run_from_a_cursor(tmp_path: Path) -> None:
    from conftest import start_server, stop_server

    with small_run(tmp_path, steps=3) as store:
        site, server, thread = start_server(tmp_path)
        try:
            [event] = _events(f"{site.url}/api/events?run=small&after=1", 1)
            assert [step["step"] for step in json.loads(event["data"])] == [2, 3]
            assert event["id"] == "3"
            store.commit_step(step_record(4))
            [event] = _events(f"{site.url}/api/events?run=small&after=3", 1)
            assert [step["step"] for step in json.loads(event["data"])] == [4]
            store.rollback_to(2)
            [event] = _events(f"{site.url}/api/events?run=small&after=4", 1)
            assert (event["event"], event["data"]) == ("rollback", "2")
        finally:
            stop_server(server, thread)


def test_a_broken_run_does_not_hide_the_others(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from gasp_rl.ui.server import build_app

    small_run(tmp_path, name="good").close()
    broken = small_run(tmp_path, name="broken")
    broken.close()
    (tmp_path / "broken" / "run.db").write_bytes(b"rubbish" * 1000)
    client = TestClient(build_app(tmp_path), base_url="http://localhost")
    lines = {line["run"]: line for line in client.get("/api/runs").json()}
    assert lines["good"]["step"] == 3
    assert "not a database" in lines["broken"]["error"]
