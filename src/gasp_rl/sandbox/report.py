"""Proves the sandbox by behaviour: what `gasp sandbox check` prints.

A layer that reports itself as on is not believed; each probe is a program that tries something
forbidden and returns True if it succeeded. A control program must succeed, so that a sandbox in
which nothing runs does not pass for a safe one.
"""

from typing import NamedTuple

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import SandboxError
from gasp_rl.sandbox.jobs import Check, Func, Layer, Result, Verdict
from gasp_rl.sandbox.pool import Sandbox


class Report(NamedTuple):
    """Layers, probes, and what a command line prints and returns."""

    layers: tuple[Layer, ...]
    probes: tuple[tuple[str, bool, str], ...]
    """(what was tried, was it refused, how)."""
    lines: tuple[str, ...]
    ok: bool

    @property
    def exit_status(self) -> int:
        return 0 if self.ok else 1


_CALL = """
import ctypes, os
X86 = os.uname().machine == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    getattr(libc, name).restype = ctypes.c_long
    return getattr(libc, name)(*args)
"""

#: name -> body of f(x); True means that the attempt succeeded
PROBES = {
    "open a file": "return open('/etc/passwd').read() != ''",
    "list a folder": "import os\n return bool(os.listdir('/'))",
    "write a file": "return open('/tmp/gasp-probe', 'w').write('x') == 1",
    "open a network socket": "import _socket\n return _socket.socket(2, 1) is not None",
    "open a local socket": "import _socket\n return _socket.socket(1, 1) is not None",
    "start a process": "import os\n pid = os.fork()\n if not pid: os._exit(0)\n return True",
    "start a process by vfork": "return call('vfork') >= 0",
    "execute a program": "import os\n os.execv('/bin/true', ['true'])",
    "signal the parent": "import os\n os.kill(os.getppid(), 0)\n return True",
    "trace the parent": "import os\n return call('ptrace', 16, os.getppid(), 0, 0) == 0",
    "read the parent's memory": "import os\n b = ctypes.create_string_buffer(64)\n"
    " v = (ctypes.c_size_t * 2)(ctypes.addressof(b), 8)\n"
    " return call('process_vm_readv', os.getppid(), v, 1, v, 1, 0) > 0",
    "make memory executable": "return call('mmap', 0, 4096, 7, 0x22, -1, 0) != -1",
    "make a memory file": "return call('memfd_create', b'x', 0) >= 0",
    "raise a limit": "import resource as r\n s, h = r.getrlimit(r.RLIMIT_AS)\n"
    " r.setrlimit(r.RLIMIT_AS, (h + 1, h + 1))\n return True",
    "lift the CPU limit": "import resource as r\n r.setrlimit(0, (-1, -1))\n return True",
    "own a descriptor's signals": "import fcntl, os\n fcntl.fcntl(0, 8, os.getpid())\n return True",
    "mount": "return call('mount', b'x', b'/', b'tmpfs', 0, 0) == 0",
    "make a namespace": "return call('unshare', 0x10000000) == 0",
    "set up an io_uring": "return call('syscall', 425, 1, ctypes.create_string_buffer(512)) >= 0",
    "load a BPF program": "return call('syscall', X86 and 321 or 280, 0, 0, 0) >= 0",
    "use a kernel keyring": "return call('syscall', X86 and 250 or 219, 0, -3, 0) >= 0",
    "survive its parent": "return call('prctl', 1, 0, 0, 0, 0) == 0",
    "become another user": "import os\n os.setuid(0)\n return True",
    "share memory by name": "return call('shmget', 77, 4096, 0o1600) >= 0",
}
_CONTROL = Check("def f(x): return sorted(x)", ("[2, 1]",), (b"[1, 2]",))


def probe_jobs() -> list[Func]:
    """One job for each probe, in the order of PROBES."""
    return [Func(f"{_CALL}\ndef f(x):\n {body}\n", ("0",)) for body in PROBES.values()]


def judge_probe(result: Result) -> tuple[bool, str]:
    """Whether the attempt was refused, and how. Anything unclear counts as not refused."""
    if result.verdict is Verdict.OK:
        return result.outputs == (b"False",), "answered an error"
    if "ModuleNotFoundError" in result.detail or "AttributeError" in result.detail:
        return False, f"nothing was tried: {result.detail}"
    if result.verdict in (Verdict.DENIED, Verdict.RUNTIME_ERROR):
        return True, result.detail
    return False, f"{result.verdict} {result.detail}"


def prove(sandbox: Sandbox) -> tuple[tuple[str, bool, str], ...]:
    """Run the control and all probes in a sandbox that is already open."""
    control, *results = sandbox.map([_CONTROL, *probe_jobs()])
    first = ("run an honest program (must work)", control.ok, str(control.verdict))
    rest = [(name, *judge_probe(result)) for name, result in zip(PROBES, results, strict=True)]
    return (first, *rest)


def check(config: SandboxConfig | None = None) -> Report:
    """Start a sandbox here, list its layers, prove it by probes."""
    config = config or SandboxConfig()
    try:
        with Sandbox(config.model_copy(update={"workers": 1})) as sandbox:
            layers, probes = sandbox.layers(), prove(sandbox)
    except SandboxError as error:
        return Report((), (), (f"refused to start: {error}",), False)
    lines = ["layers"]
    lines += [f"  {'on ' if x.on else 'off'}  {x.name}: {x.detail}" for x in layers]
    lines += [f"probes ({sum(ok for _, ok, _ in probes)} of {len(probes)} as they should be)"]
    lines += [f"  {'ok  ' if ok else 'FAIL'}  {name}: {how}" for name, ok, how in probes]
    off = [layer.name for layer in layers if not layer.on]
    ok = all(ok for _, ok, _ in probes)
    if config.unsafe:
        lines.append("unsafe=true: every result is stamped as unsafe")
    if ok:
        lines.append("protected" + (f", without {', '.join(off)}" if off else " by every layer"))
    else:
        lines.append("NOT PROTECTED: do not run untrusted programs here")
    return Report(layers, probes, tuple(lines), ok)
