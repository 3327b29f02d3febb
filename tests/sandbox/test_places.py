"""The corpus in emulated places, the refusal without a filter, and the probes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_corpora import HOSTILE, hostile_items

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import SandboxError
from gasp_rl.sandbox import Func, Sandbox, report

PLACES = ["root", "user-namespaces", "docker", "no-capabilities", "unprivileged", "seccomp-only"]
NEEDS = {
    "root": {"seccomp", "uid drop", "namespaces"},
    "docker": {"seccomp", "uid drop"},
    "seccomp-only": {"seccomp"},
}
only_root = pytest.mark.skipif(os.getuid() != 0, reason="emulating another place needs root")


def emulate(*arguments):
    script = Path(__file__).with_name("emulation.py")
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@only_root
@pytest.mark.skipif(not hostile_items(), reason=f"no corpus at {HOSTILE}")
@pytest.mark.parametrize("place", ["docker", "seccomp-only"])
def test_corpus_without_slow_items(place):
    judged = emulate(place, "quick")
    assert judged["wrong"] == []
    assert judged["items"] > 40
    assert all(judged["layers"][name] for name in NEEDS[place])


@only_root
@pytest.mark.slow
@pytest.mark.skipif(not hostile_items(), reason=f"no corpus at {HOSTILE}")
@pytest.mark.parametrize("place", PLACES)
def test_whole_corpus(place):
    judged = emulate(place)
    assert judged["wrong"] == []
    assert judged["items"] == 80
    assert all(judged["layers"][name] for name in NEEDS.get(place, {"seccomp"}))
    if place == "seccomp-only":
        assert not judged["layers"]["landlock"]
        assert not judged["layers"]["namespaces"]


def test_refuses_to_start_without_the_filter():
    assert "seccomp" in emulate("no-seccomp")["refused"]


def test_unsafe_is_stamped_into_every_result():
    config = SandboxConfig(workers=1, unsafe=True)
    with Sandbox(config, skip=("seccomp",)) as sandbox:
        result = sandbox.run(Func("def f(x): return x", ("1",)))
    assert result.ok
    assert result.unsafe
    assert "seccomp" not in result.layers


@pytest.mark.parametrize("require", ["namespaces", "all"])
def test_refuses_when_a_required_layer_is_off(require):
    with pytest.raises(SandboxError, match="namespaces is off"):
        Sandbox(SandboxConfig(workers=1, require=require), skip=("namespaces",)).layers()


def test_probes_are_refused_here():
    checked = report.check()
    assert len(checked.probes) >= 13
    assert [probe for probe in checked.probes if not probe[1]] == []
    assert checked.exit_status == 0


def test_probes_notice_a_missing_filter():
    config = SandboxConfig(workers=1, unsafe=True)
    with Sandbox(config, skip=("seccomp", "landlock", "namespaces", "uid drop")) as sandbox:
        failed = {name for name, refused, _ in report.prove(sandbox) if not refused}
    assert {"make memory executable", "make a memory file", "signal the parent"} <= failed
