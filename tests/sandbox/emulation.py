"""Makes this process look as if it ran in another place, then judges the hostile corpus there.

    python tests/sandbox/emulation.py docker [quick]

Prints one JSON object: the layers, and every item whose verdict is not accepted. An outer filter
and dropped ids stand in for the real place; a real cluster node or gVisor is not emulated.
"""

import ctypes
import errno
import json
import os
import struct
import sys

from sandbox_corpora import hostile_items
from test_hostile import EXPECTED, INPUTS, accepted, job_for

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import SandboxError
from gasp_rl.sandbox import Check, Sandbox, seccomp
from gasp_rl.sandbox.syscalls import number

MACHINE = os.uname().machine
LANDLOCK = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
# what moby's default profile leaves a container: no SYS_ADMIN, but ids, chroot and kill
DOCKER_CAPABILITIES = 0x00000000A80425FB

#: name -> (uid, capabilities kept or None for all, calls refused with EPERM, with ENOSYS)
PLACES = {
    "root": (0, None, (), ()),
    "user-namespaces": (65534, None, (), ()),
    "docker": (0, DOCKER_CAPABILITIES, ("unshare", "setns", "mount"), ()),
    "no-capabilities": (0, 0, ("unshare", "setns", "mount"), ()),
    "unprivileged": (65534, None, ("unshare", "setns", "mount"), ()),
    "seccomp-only": (65534, None, ("unshare", "setns", "mount"), LANDLOCK),
}
CALLS = {"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40)}


def enter(place: str) -> None:
    uid, capabilities, forbidden, missing = PLACES[place]
    if uid:
        become(uid)
    elif capabilities is not None:
        keep_capabilities(capabilities)
    refuse(forbidden, errno.EPERM)
    refuse(missing, errno.ENOSYS)


def become(uid: int) -> None:
    """An ordinary user, who may however read files: the interpreter may lie in root's folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    set_capabilities(1 << 2)
    libc.prctl(47, 2, 2, 0, 0)  # PR_CAP_AMBIENT, RAISE, CAP_DAC_READ_SEARCH


def keep_capabilities(mask: int) -> None:
    """Keep only these, for this process and whatever it executes."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(41):
        if not mask >> capability & 1:
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    set_capabilities(mask)


def set_capabilities(mask: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    assert libc.syscall(number("capset", MACHINE), header, data) == 0


def refuse(names: tuple[str, ...], code: int) -> None:
    """Answer these calls with an errno from now on, across exec."""
    if not names:
        return
    instructions = [(seccomp.LD, 0, 0, seccomp.NR)]
    for name in names:
        numbers = CALLS.get(name)
        nr = numbers[MACHINE != "x86_64"] if numbers else number(name, MACHINE)
        instructions += [(seccomp.JEQ, 0, 1, nr), (seccomp.RET, 0, 0, seccomp.ERRNO | code)]
    instructions.append((seccomp.RET, 0, 0, seccomp.ALLOW))
    seccomp.set_no_new_privs()
    seccomp.Installer(b"".join(struct.pack("<HBBI", *i) for i in instructions))()


def judge_corpus(*, quick: bool) -> dict:
    config = SandboxConfig(workers=2, cpu_seconds=0.4, memory_mb=512)
    with Sandbox(config) as sandbox:
        items = [i for i in hostile_items() if not (quick and i["cat"] == "dos")]
        jobs = []
        for index, item in enumerate(items):
            honest = Check(f"def f(x): return 2 * x  # {index}", INPUTS, EXPECTED)
            jobs += [job_for(item), honest]
        results = sandbox.map(jobs)
        wrong = [
            (item["name"], str(result.verdict), result.detail, str(honest.verdict))
            for item, result, honest in zip(items, results[::2], results[1::2], strict=True)
            if str(result.verdict) not in accepted(item) or not honest.ok
        ]
        layers = {layer.name: layer.on for layer in sandbox.layers()}
    return {"layers": layers, "wrong": wrong, "items": len(items)}


def start_without_filter() -> dict:
    refuse(("seccomp",), errno.EINVAL)
    try:
        Sandbox(SandboxConfig(workers=1)).layers()
    except SandboxError as error:
        return {"refused": str(error)}
    return {"refused": ""}


if __name__ == "__main__":
    if sys.argv[1] == "no-seccomp":
        print(json.dumps(start_without_filter()))
    else:
        enter(sys.argv[1])
        print(json.dumps(judge_corpus(quick="quick" in sys.argv)))
