"""The process that programs are forked from: locked down, single-threaded, never sees a payload.

It is started by `exec` of a fresh interpreter, imports what programs may need, warms up, puts up
the walls and then only receives descriptors and forks. The job itself travels on a socket that
only the worker and the child hold, so no earlier program's bytes are in memory that a later
program inherits.
"""

import _socket
import array
import ctypes
import errno
import gc
import importlib
import marshal
import os
import resource
import struct
import sys

from gasp_rl.sandbox import child, lockdown, seccomp
from gasp_rl.sandbox.syscalls import AUDIT_ARCH

_words = str.split

MAX_THREADS = 1000  # of one user: threads without a stack cost a program next to nothing
FORK, REAP = b"F", b"R"
REQUEST = struct.Struct("<cH")  # what to do; CPU seconds that the kernel itself enforces
FORKED = struct.Struct("<i")  # the child's pid, or minus errno
REAPED = struct.Struct("<iddq")  # wait status, user and system seconds, largest RSS in kB

MODULES = _words("""abc array ast bisect calendar cmath codecs collections collections.abc
contextlib copy datetime decimal enum fractions functools gc heapq io itertools json keyword math
numbers operator random re reprlib signal statistics string struct sys textwrap threading time
types typing unicodedata warnings weakref encodings.latin_1 encodings.ascii encodings.utf_16
encodings.utf_32 encodings.unicode_escape encodings.raw_unicode_escape encodings.hex_codec
encodings.rot_13 encodings.cp1252 encodings.utf_8_sig _strptime""")
"""What most programs need, and all that a teacher's may: each module makes each fork dearer."""

RICH_MODULES = _words("""
base64 binascii csv dataclasses difflib hashlib html inspect ipaddress pprint queue shlex timeit
traceback urllib.parse uuid zlib encodings.idna argparse asyncio cmd concurrent.futures
configparser doctest fileinput fnmatch getpass glob graphlib gzip locale logging multiprocessing
optparse pathlib pickle platform select selectors shutil socket subprocess tempfile unittest
unittest.mock xml.etree.ElementTree zoneinfo linecache tokenize token dis bz2 lzma sched secrets
colorsys email.message concurrent.futures.thread multiprocessing.pool html.parser mmap
numpy numpy.fft numpy.ma numpy.polynomial""")


def main(control: int, seed: int, site: list[str]) -> None:
    """Entry of the process; `control` is the socket to the worker. Never returns."""
    worker = os.getppid()
    lockdown.die_with_parent()
    socket = _socket.socket(fileno=control)
    plan = lockdown.Plan(*marshal.loads(socket.recv(65536)))
    _preload(plan.rich, site)
    child.prepare(seed)
    walls, second_filter = lockdown.lock(plan)
    machine = os.uname().machine
    extra = None
    if second_filter and "seccomp" not in plan.skip and machine in AUDIT_ARCH:
        extra = seccomp.Installer(seccomp.no_fork_filter(machine, threads=plan.rich))
    fork = getattr(ctypes.PyDLL(None), "_Fork", os.fork)
    gc.collect()
    gc.freeze()
    walls.append(lockdown.install_filter(plan, again=extra is not None))
    socket.sendall(marshal.dumps([tuple(wall) for wall in walls]))
    if os.getppid() != worker:
        os._exit(1)
    _serve(socket, fork, extra)


def _preload(rich: bool, site: list[str]) -> None:
    for name in MODULES:
        importlib.import_module(name)
    if not rich:
        return
    sys.path += site
    for name in RICH_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # numpy is optional, and so are parts of some stdlib builds
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)


def _serve(socket: _socket.socket, fork: object, extra: seccomp.Installer | None) -> None:
    pid, own = 0, os.getpid()
    space = _socket.CMSG_SPACE(3 * 4)
    while True:
        message, ancillary, _, _ = socket.recvmsg(REQUEST.size, space)
        if not message:
            os._exit(0)  # the worker is gone
        what, cpu_seconds = REQUEST.unpack(message)
        if what == REAP:
            _, status, usage = os.wait4(pid, 0)
            socket.send(REAPED.pack(status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss))
            continue
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        try:
            pid = fork()  # type: ignore[operator]
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid == 0:
            socket.close()
            _become_program(own, list(descriptors), cpu_seconds, extra)
        for descriptor in descriptors:
            os.close(descriptor)
        socket.send(FORKED.pack(pid if pid > 0 else min(pid, -1)))


def _become_program(
    zygote: int, descriptors: list[int], cpu_seconds: int, extra: seccomp.Installer | None
) -> None:
    """First moments of a child: stricter limits, then the order, then the program."""
    lockdown.die_with_parent()
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    if extra is not None:
        extra()
    processes = 0 if extra is None else MAX_THREADS
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    if os.getppid() != zygote:
        os._exit(1)
    job, *streams = descriptors
    link = _Link(job)
    order = marshal.loads(link.receive())
    if streams:
        child.adopt_streams(streams)
    child.execute(order, link.receive, link.send)
    os._exit(0)


class _Link:
    """The job socket seen from the program's process: its bare descriptor, for a socket object
    would touch more memory, and each page touched first after a fork costs microseconds."""

    __slots__ = ("buffer", "job", "read", "write")

    def __init__(self, job: int) -> None:
        self.job, self.buffer = job, b""
        self.read, self.write = os.read, os.write  # whatever the program does to `os`

    def receive(self) -> bytes:
        """A message from the worker: a 4-byte length and that many bytes."""
        buffer = self.buffer or self.read(self.job, 4096)
        while len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[:4], "little"):
            more = self.read(self.job, 1 << 20)
            if not more:
                os._exit(1)
            buffer += more
        end = 4 + int.from_bytes(buffer[:4], "little")
        self.buffer = buffer[end:]
        return buffer[4:end]

    def send(self, data: bytes) -> None:
        sent = self.write(self.job, data)
        while sent < len(data):
            sent += self.write(self.job, data[sent : sent + (1 << 20)])
