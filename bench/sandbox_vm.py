"""The cgroup layer where a program does reach its limits: on a kernel of its own, under QEMU.

    apt-get download linux-image-6.1.0-56-cloud-amd64-unsigned && dpkg-deb -x linux-image-*.deb kernel
    python bench/sandbox_vm.py kernel/boot/vmlinuz-* [kvm]     needs qemu-system-x86

The guest has the kernel, this Python and this package in its memory, and nothing else: this file is
its first process. It mounts cgroup v2, opens a sandbox in a group of its own, and says what became
of programs that ask for too many threads and too much memory, of the zygotes, and of the groups.
"""

import ctypes
import importlib.util
import io
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

SELF = Path(__file__).resolve()
ROOT = SELF.parents[1]
CGROUP = Path("/sys/fs/cgroup")
POWER_OFF = 0x4321FEDC


# -- outside: an image with this interpreter, and a machine to start it in


def main(kernel: str, accelerator: str = "tcg") -> int:
    with tempfile.NamedTemporaryFile(suffix=".cpio") as image:
        image.write(archive(files()))
        image.flush()
        command = ["qemu-system-x86_64", "-accel", accelerator, "-cpu", "max", "-m", "1500"]
        command += ["-nographic", "-no-reboot", "-kernel", kernel, "-initrd", image.name, "-append"]
        options = "console=ttyS0 quiet panic=-1 no_timer_check PYTHONHASHSEED=0"
        command.append(f"{options} rdinit={sys.executable} -- {SELF}")
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=3600).stdout
    report = out[max(out.find("BEGIN"), 0) :].replace("\r", "")
    print(report)
    return 0 if "PASSED" in report else 1


def files() -> dict[str, Path]:
    """What the guest needs: path there to path here."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    loaded = "import sys, gasp_rl.sandbox; print(*(m.partition('.')[0] for m in sys.modules))"
    names = set(subprocess.check_output([sys.executable, "-c", loaded], text=True).split())
    specs = [importlib.util.find_spec(name) for name in names - {"__main__", "gasp_rl"}]
    packages = [Path(s.origin) for s in specs if s and s.origin and "site-packages" in s.origin]
    trees = [stdlib, ROOT / "src", *(p.parent for p in packages if p.name == "__init__.py")]
    singles = [SELF, *(p for p in packages if p.name != "__init__.py")]
    found = [p for tree in trees for p in tree.rglob("*") if p.is_file()]
    left_out = re.compile(r"/(test|tests|idlelib|ensurepip|config-\d.*|tkinter)/|\.pyc$|\.a$")
    third_party = stdlib / "site-packages"
    kept = [p for p in found if not left_out.search(str(p)) and third_party not in p.parents]
    chosen = {str(p): p for p in (*kept, *singles)}
    binary = Path(sys.executable).resolve()
    libraries: set[str] = set()
    for path in (binary, *(p for p in kept if ".so" in p.name)):
        told = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True).stdout
        libraries.update(re.findall(r"(/\S+) \(0x", told))
    chosen |= {name: Path(name).resolve() for name in libraries}
    chosen[sys.executable] = chosen[str(binary)] = binary
    venv = Path(sys.prefix) / "pyvenv.cfg"
    return chosen | ({str(venv): venv} if venv.exists() else {})


def archive(contents: dict[str, Path]) -> bytes:
    """A cpio archive ("newc") with these files and their folders."""
    folders = {str(parent) for name in contents for parent in Path(name).parents}
    folders |= {"/proc", "/sys", "/dev", "/tmp"}
    out = io.BytesIO()
    entries = [(name, 0o40755, b"") for name in sorted(folders - {"/"})]
    entries += [(n, 0o100755, p.read_bytes()) for n, p in contents.items()]
    for number, (name, mode, data) in enumerate([*entries, ("/TRAILER!!!", 0, b"")], 1):
        label = name[1:].encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(label), 0]
        out.write(b"070701" + b"".join(b"%08X" % f for f in fields) + label)
        out.write(bytes(-out.tell() % 4) + data)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()


# -- inside: the first process, and the one that tries the sandbox


def boot() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    mounts = {"/proc": b"proc", "/sys": b"sysfs", "/dev": b"devtmpfs", str(CGROUP): b"cgroup2"}
    for where, kind in mounts.items():
        libc.mount(kind, where.encode(), kind, 0, None)
    (CGROUP / "cgroup.subtree_control").write_text("+memory +pids")
    own = CGROUP / "run"
    own.mkdir()
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "src"), "TRIES": "1"}

    def enter() -> None:
        (own / "cgroup.procs").write_text(str(os.getpid()))

    print("BEGIN", os.uname().release, flush=True)
    done = subprocess.run([sys.executable, SELF], env=environment, preexec_fn=enter)
    left = sorted(p.name for p in own.iterdir() if p.is_dir())
    print("groups left:", left, flush=True)
    if done.returncode == 0 and left == ["gasp-caller"]:
        print("PASSED", flush=True)
    time.sleep(0.2)
    libc.reboot(POWER_OFF)


def try_limits() -> None:
    from gasp_rl.config import SandboxConfig
    from gasp_rl.sandbox import Check, Sandbox, Stdio, report

    threads = """
import sys, threading, time
threading.stack_size(32768)
started = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        started += 1
except RuntimeError:
    sys.stdout.write(str(started))
    sys.stdout.flush()
    import os
    os._exit(0)
"""
    hungry = "def f(x):\n    kept = [b'x' * 10**6 for _ in range(x)]\n    return len(kept)"
    with Sandbox(SandboxConfig(workers=1, memory_mb=400, cpu_seconds=60)) as box:
        print(*(f"  {x.name}: {x.on} {x.detail}" for x in box.layers()), sep="\n")
        probes = report.prove(box)
        print("probes:", sum(ok for _, ok, _ in probes), "of", len(probes))
        base = next(CGROUP.glob("run/gasp-sandbox-*"))
        assert box.run(Stdio("import threading\nprint(2)", (("", "2"),))).ok
        groups = {p.name.partition("-")[2]: p for p in base.iterdir() if p.is_dir()}
        pids = {name: (p / "cgroup.procs").read_text().split() for name, p in groups.items()}
        print("zygotes:", pids)

        def told(group: str, file: str) -> str:
            return " ".join((groups[group] / file).read_text().split())

        def alive() -> None:
            now = {name: (p / "cgroup.procs").read_text().split() for name, p in groups.items()}
            assert now == pids, now
            assert box.run(Check("def f(x): return 2 * x", ("1",), (b"2",))).ok

        # A program's own limits are narrower than its group's, for whose sum they stand. So the group
        # is narrowed, as other programs would narrow it: to the zygote, the program and 38 threads.
        (groups["rich"] / "pids.max").write_text("40")
        result = box.run(Stdio(threads, (("", "38"),)))
        print("threads in 40 tasks:", result.verdict, "|", told("rich", "pids.events"))
        assert result.ok
        assert not told("rich", "pids.events").endswith(" 0"), "the limit of tasks was not reached"
        alive()
        assert box.run(Check(hungry, ("200",), (b"200",))).ok
        (groups["first"] / "memory.max").write_text(str(120 << 20))
        for amount in (50, 200, 50):
            result = box.run(Check(hungry, (str(amount),), (str(amount).encode(),)))
            events = told("first", "memory.events")
            print(f"{amount} MB in 120 MB:", result.verdict, result.detail, "|", events)
            assert (result.ok, result.attempts) == (amount == 50, 1)
            alive()
        assert told("first", "memory.events").split()[7] == "1", "the kernel killed nothing"


if __name__ == "__main__":
    if os.getpid() == 1:
        boot()
    elif os.environ.get("TRIES"):
        try_limits()
    else:
        sys.exit(main(*sys.argv[1:]))
