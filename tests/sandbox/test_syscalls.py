"""The system-call tables against the kernel's own headers, where this machine has them."""

import os
import re
from pathlib import Path

import pytest

from gasp_rl.sandbox.syscalls import NUMBERS

INCLUDE = Path(os.environ.get("GASP_KERNEL_HEADERS", "/usr/include"))
HEADERS = {
    "x86_64": INCLUDE / "x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": INCLUDE / "asm-generic/unistd.h",  # 64-bit ARM has the generic table
}
_DEFINE = re.compile(r"^#define (__NR(?:3264)?_\w+)\s+(\w+)$", re.MULTILINE)
_IF_64_BITS = "#if __BITS_PER_LONG == 64 && !defined(__SYSCALL_COMPAT)"


def numbers_in(header):
    """Name to number. Where 32 and 64 bits differ, the generic header gives the names at its end."""
    common, _, rest = header.partition(_IF_64_BITS)
    found = dict(_DEFINE.findall(common + rest.partition("#else")[0]))
    known = {name: found.get(value, value) for name, value in found.items()}
    return {name.removeprefix("__NR_"): int(n) for name, n in known.items() if n.isdecimal()}


@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_are_those_of_the_kernel(machine):
    if not HEADERS[machine].exists():
        pytest.skip(f"no {HEADERS[machine]}: install linux-libc-dev")
    known = numbers_in(HEADERS[machine].read_text())
    column = ("x86_64", "aarch64").index(machine)
    ours = {name: numbers[column] for name, numbers in NUMBERS.items()}
    assert {n: v for n, v in ours.items() if v is not None and known.get(n) != v} == {}
    # A call that the kernel has must not be missing here: the filter would kill for it.
    assert {n for n, v in ours.items() if v is None and n in known} == set()
