"""The doctor sees what is really here, fails on what must be mended, and gives nothing away."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.planning import doctor
from gasp_rl.planning.doctor import Finding, as_json, disk, extras, healthy, render, scrub

SECRET = "hf_abcdefghijklmnop"


def gasp(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from gasp_rl.cli import main; main()"
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    run = [sys.executable, "-c", code, *words]
    return subprocess.run(run, capture_output=True, text=True, env=env, timeout=240)


def test_the_whole_examination_gives_nothing_away(tmp_path: Path) -> None:
    home = tmp_path / "home" / "margarete"
    home.mkdir(parents=True)
    out = gasp("doctor", "--json", HOME=str(home), HF_TOKEN=SECRET, GASP_DATA=str(home / "sets"))
    assert out.returncode in (0, 1), out.stderr
    told = json.loads(out.stdout)
    names = set(told["findings"])
    wanted = {"python", "torch", "gpu", "sandbox", "extra train", "offline", "data", "disk"}
    assert wanted <= names
    assert told["ok"] == (out.returncode == 0)
    assert told["ok"] == all(f["status"] != "fail" for f in told["findings"].values())
    for private in (SECRET, "margarete", str(home), str(tmp_path)):
        assert private not in out.stdout
    python = sys.version.split()[0]
    assert python in told["findings"]["python"]["detail"]


def test_extras_are_those_of_the_metadata() -> None:
    found = {f.name: f for f in extras()}
    named = metadata.metadata("gasp-rl").get_all("Provides-Extra") or []
    assert set(found) == {f"extra {name}" for name in named}
    pytest_here = metadata.version("pytest")
    assert f"pytest {pytest_here}" in found["extra dev"].detail


def test_a_missing_package_comes_with_its_install_line() -> None:
    finding = doctor._extra("moon", ["pytest", "no-such-package-here"])
    assert finding.status == "note"
    assert 'missing no-such-package-here: pip install "gasp-rl[moon]"' in finding.detail


@pytest.mark.parametrize(
    ("version", "requirement", "fits"),
    [
        ("0.24.1", "tinker<0.25,>=0.16", True),
        ("0.9.0", "tinker<0.25,>=0.16", False),
        ("0.38.0", "tinker<0.25,>=0.16", False),
        ("0.38.0", "tinker>=0.38", True),
        ("0.24.1", "tinker>=0.38", False),
        ("6.0", "transformers<6,>=5", False),
        ("2.13.0+cpu", "torch<3,>=2.11", True),
        ("1.0", "anything", True),
    ],
)
def test_bounds_of_versions(version: str, requirement: str, fits: bool) -> None:
    assert doctor.satisfies(version, requirement) is fits


def test_a_package_of_the_wrong_version_is_missing() -> None:
    finding = doctor._extra("moon", ["pytest<3,>=2", "gasp-rl[train]"])
    assert finding.status == "note"
    assert 'missing pytest<3,>=2: pip install "gasp-rl[moon]"' in finding.detail


def test_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 2**30))
    assert disk(tmp_path) == Finding(
        "disk", "fail", "1.0 GiB free in the working folder; a run needs 2 GiB"
    )


def test_a_torch_that_cannot_be_imported_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "9.9")
    monkeypatch.setattr(doctor, "TORCH", "raise OSError('libcuda is of another release')")
    finding = doctor._torch()
    assert finding.status == "fail"
    assert "libcuda is of another release" in finding.detail


def test_the_block_holds_every_finding_and_the_verdict_those_to_mend() -> None:
    findings = [
        Finding("a", "ok", "fine"),
        Finding("b", "fail", "broken"),
        Finding("c", "note", "absent"),
    ]
    text = render(findings)
    assert "to mend: b" in text
    block = text.split("```")[1]
    assert all(f.detail in block for f in findings)
    assert not healthy(findings)
    assert healthy([findings[0], findings[2]])
    assert json.loads(as_json(findings))["ok"] is False


@given(st.text(alphabet="abc_9", min_size=1), st.text(max_size=20))
def test_no_home_survives(user: str, around: str) -> None:
    for root in ("/home/", "/Users/"):
        assert f"{root}{user}" not in scrub(f"{around} {root}{user}/runs:")
