"""Small versions of the long benches: counts of verdicts, never of seconds."""

import importlib.util
import sys

import pytest
from sandbox_corpora import ROOT


def bench(name):
    """A script of `bench/`, loaded as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_false_timeout_at_five_times_the_cores():
    assert set(bench("sandbox_fairness").false_timeouts(15, cpu_seconds=0.5)) == {"OK"}


def test_no_frame_earns_a_credit():
    credited, verdicts = bench("sandbox_fuzz").fuzz(800, seed=7)
    assert credited == 0
    assert len(verdicts) >= 6  # one verdict for all would mean that nothing arrived
    assert sum(verdicts.values()) == 800


@pytest.mark.timeout(1800)
def test_soak(capsys):
    assert bench("sandbox_soak").soak(20_000, seed=3), capsys.readouterr().out
