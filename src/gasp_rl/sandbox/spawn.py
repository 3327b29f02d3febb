"""Starts our own helper processes: a fresh interpreter by exec, a clean environment, one socket.

Never a fork of the caller, who may have threads, a GPU context and secrets in memory. The package's
`__init__` files are stepped over, so that a helper loads nothing but the standard library.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

_BOOT = """
import sys, types
root, module, control, seed, *site = sys.argv[1:]
sys.argv = sys.argv[:1]
for name in ("gasp_rl", "gasp_rl.sandbox"):
    package = types.ModuleType(name)
    package.__path__ = [root + "/" + name.replace(".", "/")]
    sys.modules[name] = package
import importlib
importlib.import_module("gasp_rl.sandbox." + module).main(int(control), int(seed), site)
"""
_ROOT = str(Path(__file__).resolve().parents[2])


def start(
    module: str, *, hash_seed: int = 0, seed: int = 0, site: tuple[str, ...] = ()
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `gasp_rl.sandbox.<module>.main(control, seed, site)`; the process and our end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    environment = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": str(hash_seed),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    debug = os.environ.get("GASP_SANDBOX_STDERR")
    if debug:
        environment["GASP_SANDBOX_STDERR"] = debug
    with theirs:
        command = [sys.executable, "-s", "-S", "-B", "-P", "-c", _BOOT]
        process = subprocess.Popen(
            [*command, _ROOT, module, str(theirs.fileno()), str(seed), *site],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if debug else subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env=environment,
            cwd="/",
            process_group=0,  # Ctrl-C is for the caller, who may want to finish a step first
        )
    return process, ours
