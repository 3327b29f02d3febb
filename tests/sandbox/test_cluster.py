"""The sandbox on a Ray cluster of two simulated nodes, one of which is lost on the way."""

import asyncio
import builtins
import contextlib
import os
import socket
import threading

import pytest

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import MissingExtraError, SandboxError
from gasp_rl.sandbox import Check, Func, Sandbox, Verdict
from gasp_rl.sandbox.cluster import RaySandbox, open_sandbox

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# By default its workers give way to all else on a machine.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
JOBS = [Func(f"def f(x): return x + {i}", ("1",)) for i in range(60)]
SLOW = "def f(x):\n for _ in range(1_000_000): pass\n return {}"
ENDLESS = "import time\ndef f(x):\n while True: time.sleep(0.001)"


def needs_ray():
    return pytest.importorskip("ray", reason='needs the extra: pip install "gasp-rl[ray]"')


def agents():
    """Ports that a node need not wait for: on a busy machine its agents start too late for it."""
    names = "metrics_agent metrics_export dashboard_agent_listen runtime_env_agent"
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        ports = [server.getsockname()[1] for server in free]
    return {f"{name}_port": port for name, port in zip(names.split(), ports, strict=True)}


@pytest.fixture(scope="module")
def cluster():
    ray = needs_ray()
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, **agents()}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def second(cluster):
    node = cluster.add_node(num_cpus=1, **agents())
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


@pytest.fixture
def sandbox(cluster, second):
    config = SandboxConfig(
        pool="ray", address=cluster.address, workers=1, cpu_seconds=2.0, memory_mb=512
    )
    with open_sandbox(config) as box:
        yield box


def test_jobs_keep_their_order_and_every_node_has_its_walls(sandbox):
    assert isinstance(sandbox, RaySandbox)
    results = sandbox.map(JOBS)
    assert [r.outputs for r in results] == [(str(i + 1).encode(),) for i in range(60)]
    assert len({layer.name.split(":")[0] for layer in sandbox.layers() if layer.on}) == 2
    assert sandbox.run(Check("def f(x): return 3", ("1",), (b"2",))).verdict is Verdict.WRONG_ANSWER
    assert sandbox.map([]) == []


def test_a_lost_node_loses_no_job(cluster, second, sandbox):
    jobs = [Func(SLOW.format(i), ("1",)) for i in range(24)]
    killer = threading.Thread(target=cluster.remove_node, args=(second, False))

    async def all_of_them():
        seen = []
        async for index, result in sandbox.stream(jobs):
            seen.append((index, result.outputs))
            if len(seen) == 4:
                killer.start()
        return seen

    seen = asyncio.run(all_of_them())
    killer.join()
    assert sorted(seen) == [(i, (str(i).encode(),)) for i in range(24)]
    assert len({layer.name.split(":")[0] for layer in sandbox.layers()}) == 1
    assert sandbox.run(JOBS[0]).ok


def test_leaving_a_stream_early_stops_the_programs(sandbox):
    async def first_only():
        endless = [Func(f"{ENDLESS} # {i}", ("1",), cpu_seconds=600) for i in range(8)]
        jobs = [*JOBS[:8], *endless]  # in parcels of four
        stream = sandbox.stream(jobs)
        async for index, _ in stream:
            await stream.aclose()
            return index
        return None

    assert asyncio.run(asyncio.wait_for(first_only(), 60)) is not None
    # With the endless programs gone, the workers take other jobs.
    assert all(r.ok for r in sandbox.map(JOBS))


def test_our_own_failure_is_raised(sandbox):
    with pytest.raises(SandboxError, match="not a sandbox job"):
        sandbox.map([*JOBS[:3], "no job"])
    assert sandbox.run(JOBS[0]).ok


def test_without_ray_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def no_ray(name, *more):
        if name.split(".")[0] == "ray":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", no_ray)
    with pytest.raises(MissingExtraError, match=r"gasp-rl\[ray\]"):
        open_sandbox(SandboxConfig(pool="ray"))


def test_one_machine_is_the_default():
    assert type(open_sandbox(SandboxConfig())) is Sandbox
