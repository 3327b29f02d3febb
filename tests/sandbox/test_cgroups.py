"""The cgroup layer: found, made, or off with its reason. A plain folder stands in for the kernel's
files where this machine delegates no cgroup v2; what the kernel does with them is then untested."""

import os
from pathlib import Path

import pytest

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Func, Sandbox, Verdict, cgroups

MOUNTS = """\
24 1 0:22 / /proc rw - proc proc rw
30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 24 0:27 {root} {mounted} rw,relatime shared:9 - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("root", "mounted", "cgroup", "found"),
    [
        ("/", "/sys/fs/cgroup", "0::/user.slice/run-7.scope\n", "/sys/fs/cgroup/user.slice/run-7.scope"),
        ("/", "/sys/fs/cgroup/unified", "4:memory:/a\n0::/\n", "/sys/fs/cgroup/unified"),
        ("/docker/x", "/sys/fs/cgroup", "0::/docker/x/job\n", "/sys/fs/cgroup/job"),
        ("/", "/sys/fs/cgroup", "0::/job/gasp-caller\n", "/sys/fs/cgroup/job"),
    ],
)  # fmt: skip
def test_finds_the_group_of_this_process(root, mounted, cgroup, found):
    mounts = MOUNTS.format(root=root, mounted=mounted)
    assert cgroups.own_group(mounts, cgroup) == Path(found)


def test_there_is_none_with_version_one_only():
    mounts = MOUNTS.format(root="/", mounted="/x")
    assert cgroups.own_group(mounts, "4:memory:/job\n") is None
    assert cgroups.own_group(mounts.replace("cgroup2", "cgroup"), "0::/\n") is None


def test_makes_a_group_and_limits_it(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    base = cgroups._make(tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids"
    group = cgroups.Group(str(base), "7-first", 512 << 20)
    group.add(os.getpid())
    assert int((group.path / "memory.max").read_text()) == (512 + 384) << 20
    assert (group.path / "cgroup.procs").read_text() == str(os.getpid())
    assert group.wall().on


def test_a_group_without_the_controllers_is_left_alone(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    with pytest.raises(OSError, match="no memory controller"):
        cgroups._make(tmp_path)
    assert os.listdir(tmp_path) == ["cgroup.controllers"]


def test_a_group_that_others_share_is_left_alone(tmp_path):
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")
    with pytest.raises(OSError, match="other processes share"):
        cgroups._move_caller(tmp_path)
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    cgroups._move_caller(tmp_path)
    assert (tmp_path / cgroups.CALLER / "cgroup.procs").read_text() == str(os.getpid())


def test_the_layer_holds_or_says_why_not():
    base = cgroups.open_base()
    with Sandbox(SandboxConfig(workers=1, memory_mb=256)) as sandbox:
        layer = next(layer for layer in sandbox.layers() if layer.name == cgroups.NAME)
        assert layer.on == bool(base.path)
        if not layer.on:
            assert "Delegate=yes" in layer.detail
        result = sandbox.run(Func("def f(x): return len(bytes(300 << 20))", ("1",)))
    assert result.verdict is Verdict.MEMORY
    assert not base.path or not Path(base.path).exists()
