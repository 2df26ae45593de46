"""Attempts at what a policy's process must not be able to do, one a process.

Each is made in a throw-away child that is confined by the layers under test and by
nothing else that could answer for them. An attempt that is refused proves its layer;
one that gets through, or ends in anything unforeseen, counts as a layer missing.
"""

import ctypes
import errno
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from evaluators.confine import POLICY_DESCRIPTOR
from evaluators.kernel import call, libc, prctl

REFUSED, DONE, UNFORESEEN = 0, 1, 2
"""Exit code of the process that made an attempt."""

_PR_GET_PDEATHSIG, _PR_GET_NO_NEW_PRIVS, _PR_SET_TSC = 2, 39, 26
_NEW_USER, _NEW_NETWORK, _NEW_PROCESSES = 0x10000000, 0x40000000, 0x20000000
_PTRACE_SEIZE = 0x4206


class Probe(NamedTuple):
    """One attempt: the layer that must refuse it, and whether all depends on it.

    An optional one tells of what this kernel could also refuse; another layer holds
    without it.
    """

    layer: str
    name: str
    attempt: Callable[[], None]
    is_required: bool = True


def made(probe: Probe) -> int:
    """Make an attempt; exit code of what came of it."""
    try:
        probe.attempt()
    except (OSError, ValueError, MemoryError) as error:
        refusals = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.EFBIG)
        code = getattr(error, "errno", None)
        return REFUSED if code is None or code in refusals else UNFORESEEN
    return DONE


def bait_name(owner: int) -> str:
    """Abstract name of the socket that the process ``owner`` lays out for a probe."""
    return f"\0adrs/probe/{owner}"


def _leads_no_session() -> None:
    if os.getsid(0) == os.getpid():
        raise PermissionError(errno.EPERM, "leads its own session")


def _outlives_its_parent() -> None:
    number = ctypes.c_int()
    prctl(_PR_GET_PDEATHSIG, ctypes.addressof(number))
    if number.value == signal.SIGKILL:
        raise PermissionError(errno.EPERM, "ends with its parent")


def _has_other_descriptors() -> None:
    others = [number for number in range(1024) if _is_open(number)]
    if others == list(range(POLICY_DESCRIPTOR + 1)):
        raise PermissionError(errno.EPERM, "has its own four only")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _takes_memory() -> None:
    bytearray(1 << 40)


def _takes_descriptors() -> None:
    for _ in range(1024):
        os.dup(0)


def _has_no_end_of_time() -> None:
    if resource.RLIM_INFINITY not in resource.getrlimit(resource.RLIMIT_CPU):
        raise PermissionError(errno.EPERM, "its CPU time ends")


def _writes_a_file() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.write(os.memfd_create("probe"), b"x")


def _may_gain_privileges() -> None:
    if prctl(_PR_GET_NO_NEW_PRIVS) == 1:
        raise PermissionError(errno.EPERM, "gains none")


def _raises_a_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 1))


def _opens_a_file() -> None:
    os.close(os.open(os.devnull, os.O_RDONLY))


def _lists_a_folder() -> None:
    os.listdir("/")


def _connects_by_tcp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(("127.0.0.1", 1))
        except ConnectionRefusedError:
            return


def _connects_by_an_abstract_name() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(bait_name(int(sys.argv[1])))


def _makes_a_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def _signals_its_parent() -> None:
    os.kill(os.getppid(), 0)


def _traces_its_parent() -> None:
    # Seizing, unlike attaching, does not stop it.
    arguments = (ctypes.c_long(n) for n in (_PTRACE_SEIZE, os.getppid(), 0, 0))
    if libc().ptrace(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _reads_its_parents_memory() -> None:
    class Piece(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    # A fork has its parent's addresses.
    secret, found = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
    here, there = (Piece(ctypes.addressof(at), 8) for at in (found, secret))
    pieces = ctypes.byref(here), 1, ctypes.byref(there), 1
    call("process_vm_readv", os.getppid(), *pieces, 0)


def _reads_its_parents_clock() -> None:
    cpu_time = 2
    time.clock_gettime((~os.getppid() << 3) | cpu_time)


def _forks() -> None:
    if os.fork() == 0:
        os._exit(0)


def _runs_a_program() -> None:
    # Nothing is there to run; without a filter the kernel looks for it and says so.
    try:
        os.execv("/nonexistent", ["nonexistent"])
    except FileNotFoundError:
        return


def _makes_code() -> None:
    libc().mmap.restype = ctypes.c_void_p
    read_write_run, private_anonymous = 7, 0x22
    arguments = (None, 4096, read_write_run, private_anonymous, -1, 0)
    if libc().mmap(*arguments) == ctypes.c_void_p(-1).value:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _leaves(namespaces: int) -> Callable[[], None]:
    def attempt() -> None:
        call("unshare", namespaces)

    return attempt


def _goes_without_clocks() -> None:
    must_fault = 2
    prctl(_PR_SET_TSC, must_fault)


PROBES = (
    Probe("session", "stay in its parent's session", _leads_no_session),
    Probe("session", "outlive its parent", _outlives_its_parent),
    Probe("descriptors", "hold other descriptors", _has_other_descriptors),
    Probe("limits", "take memory without end", _takes_memory),
    Probe("limits", "take CPU time without end", _has_no_end_of_time),
    Probe("limits", "take descriptors without end", _takes_descriptors),
    Probe("limits", "write a file", _writes_a_file),
    Probe("privileges", "gain privileges", _may_gain_privileges),
    Probe("privileges", "raise a limit", _raises_a_limit),
    Probe("landlock", "open a file", _opens_a_file),
    Probe("landlock", "list a folder", _lists_a_folder),
    Probe("landlock", "trace its parent", _traces_its_parent),
    Probe("landlock", "read its parent's memory", _reads_its_parents_memory),
    Probe("landlock", "connect by TCP", _connects_by_tcp, is_required=False),
    Probe(
        "landlock",
        "connect by an abstract name",
        _connects_by_an_abstract_name,
        is_required=False,
    ),
    Probe("landlock", "signal its parent", _signals_its_parent, is_required=False),
    Probe("seccomp", "open a file", _opens_a_file),
    Probe("seccomp", "list a folder", _lists_a_folder),
    Probe("seccomp", "make a socket", _makes_a_socket),
    Probe("seccomp", "fork", _forks),
    Probe("seccomp", "run a program", _runs_a_program),
    Probe("seccomp", "make code", _makes_code),
    Probe("seccomp", "signal its parent", _signals_its_parent),
    Probe("seccomp", "trace its parent", _traces_its_parent),
    Probe("seccomp", "read its parent's memory", _reads_its_parents_memory),
    Probe("seccomp", "read its parent's CPU time", _reads_its_parents_clock),
)
"""In the order of the layers."""

OUTER = (
    Probe("outer", "user namespace", _leaves(_NEW_USER), is_required=False),
    Probe(
        "outer",
        "network namespace",
        _leaves(_NEW_USER | _NEW_NETWORK),
        is_required=False,
    ),
    Probe(
        "outer",
        "process namespace",
        _leaves(_NEW_USER | _NEW_PROCESSES),
        is_required=False,
    ),
    Probe("outer", "no reading of clocks", _goes_without_clocks, is_required=False),
)
"""What more this machine could do: not used, so that scores do not hang on it."""

ALL = PROBES + OUTER
