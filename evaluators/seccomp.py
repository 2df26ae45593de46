"""Seccomp: the few system calls that a policy's process may make, as a BPF program.

What is not named here ends the process with SIGSYS: new processes and programs,
sockets, signals, tracing, and whatever a later kernel adds. Files are refused with
EACCES instead, so that importing what is not there is an honest ``ImportError``. The
program is made once in the zygote and put in force by each child. See seccomp(2); the
opcodes and the layout of ``struct seccomp_data`` are those of linux/bpf_common.h and
linux/seccomp.h.
"""

import ctypes
import errno
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evaluators.kernel import Call, system_call

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
AT_NUMBER, AT_MACHINE, AT_FIRST_ARGUMENT, AT_THIRD_ARGUMENT = 0, 4, 16, 32
PROT_EXEC = 4
N_CLOCKS = 12
"""Of the machine and of the process itself, see clock_gettime(2)."""


class Machine(NamedTuple):
    """How a machine names itself to the filter, and its numbers by name of the call."""

    audit: int
    numbers: Mapping[str, int]


Numbers = Mapping[str, tuple[int | None, int | None]]
"""By name of the call, on x86-64 and aarch64; None where a machine has none."""

# fmt: off
ALLOWED: Numbers = {
    # the conversation
    "sendto": (44, 206), "recvfrom": (45, 207), "read": (0, 63), "write": (1, 64),
    "getsockname": (51, 204), "getsockopt": (55, 209), "fstat": (5, 80),
    "lseek": (8, 62),
    # memory
    "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214), "madvise": (28, 233),
    # waiting, and the clock where the kernel's page does not tell it
    "futex": (202, 98), "sched_yield": (24, 124), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None),
    "restart_syscall": (219, 128),
    # signals of its own
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    # facts about itself
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getrusage": (98, 165), "getcpu": (309, 168),
    "getrandom": (318, 278),
    "exit": (60, 93), "exit_group": (231, 94),
}
"""May be made with any argument."""

KEPT: Numbers = {"close": (3, 57)}
"""May be made except of the conversation's descriptor: whose end is closed has ended,
and how it ended says why, however busy the machine."""

CLOCKS: Numbers = {
    "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
}
"""May be made of the machine's clocks and its own, which have small numbers; those
that count the CPU time of any other process are refused."""

OWN: Numbers = {"sched_getaffinity": (204, 123)}
"""May be made of itself, who is 0; of others it is refused."""

NOT_RUNNABLE: Numbers = {
    "mmap": (9, 222), "mprotect": (10, 226),
}
"""May be made except for memory whose content could be run: EACCES."""

REFUSED: Numbers = {
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437),
    "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17),
    "getdents": (78, None), "getdents64": (217, 61), "chdir": (80, 49),
    "mkdir": (83, None), "mkdirat": (258, 34), "unlink": (87, None),
    "unlinkat": (263, 35), "rmdir": (84, None), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "statfs": (137, 43),
    "fcntl": (72, 25), "ioctl": (16, 29), "uname": (63, 160), "sysinfo": (99, 179),
    "prlimit64": (302, 261), "getrlimit": (97, 163),
}
"""Answered with EACCES: honest libraries ask, and take no for an answer."""
# fmt: on

_LABELS: Mapping[str, Numbers] = {
    "allow": ALLOWED,
    "keep": KEPT,
    "clock": CLOCKS,
    "own": OWN,
    "runnable": NOT_RUNNABLE,
    "refuse": REFUSED,
}
"""Where the filter goes on for the calls of each table."""


def _numbers(column: int) -> dict[str, int]:
    pairs = (
        (name, row[column]) for table in _LABELS.values() for name, row in table.items()
    )
    return {name: number for name, number in pairs if number is not None}


MACHINES = {
    "x86_64": Machine(0xC000003E, _numbers(0)),
    "aarch64": Machine(0xC00000B7, _numbers(1)),
}


class Line(NamedTuple):
    """One instruction; a jump names the labels that it goes on at, "" for the next."""

    code: int
    value: int
    if_true: str = ""
    if_false: str = ""


class Instruction(ctypes.Structure):
    """``struct sock_filter``."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (
        ("length", ctypes.c_ushort),
        ("instructions", ctypes.POINTER(Instruction)),
    )


def policy_program(machine: str, kept: int) -> Program:
    """The filter of a policy's process on a machine, as ``platform`` names it.

    To close the descriptor ``kept`` ends the process. Raises ``OSError`` for a machine
    whose numbers are not known.
    """
    if machine not in MACHINES:
        known = " and ".join(MACHINES)
        raise OSError(errno.ENOSYS, f"no filter for {machine}, only for {known}")
    return assembled(_policy_lines(MACHINES[machine], kept))


def assembled(lines: list[Line | str]) -> Program:
    """A program of instructions, with labels (texts) before those jumped to."""
    code: list[Line] = []
    places: dict[str, int] = {}
    for line in lines:
        if isinstance(line, str):
            places[line] = len(code)
        else:
            code.append(line)
    array = (Instruction * len(code))()
    for place, line in enumerate(code):
        places[""] = place + 1
        jumps = [places[to] - place - 1 for to in (line.if_true, line.if_false)]
        assert all(0 <= jump < 256 for jump in jumps), f"a jump too far: {line}"
        array[place] = Instruction(line.code, *jumps, line.value)
    return Program(len(code), array)


def filtering(program: Program) -> Call:
    """What has a process, of one thread, make only calls that a program lets pass.

    The process must have given up new privileges before.
    """
    set_mode_filter = 1
    return system_call("seccomp", set_mode_filter, 0, ctypes.byref(program))


def _policy_lines(machine: Machine, kept: int) -> list[Line | str]:
    return [
        Line(LOAD, AT_MACHINE),
        Line(EQUAL, machine.audit, "", "kill"),
        Line(LOAD, AT_NUMBER),
        *_halved(_runs(machine.numbers)),
        "kill",
        Line(RETURN, KILL),
        "keep",
        Line(LOAD, AT_FIRST_ARGUMENT),
        Line(EQUAL, kept, "", "allow"),
        Line(RETURN, KILL),
        "clock",
        Line(LOAD, AT_FIRST_ARGUMENT),
        Line(AT_LEAST, N_CLOCKS, "refuse", "allow"),
        "own",
        Line(LOAD, AT_FIRST_ARGUMENT),
        Line(EQUAL, 0, "allow", "refuse"),
        "runnable",
        Line(LOAD, AT_THIRD_ARGUMENT),
        Line(ANY_BIT, PROT_EXEC, "refuse", "allow"),
        "refuse",
        Line(RETURN, ERRNO | errno.EACCES),
        "allow",
        Line(RETURN, ALLOW),
    ]


class Run(NamedTuple):
    """Numbers from ``first`` up to the next run's, for which the filter goes on so."""

    first: int
    label: str


def _runs(numbers: Mapping[str, int]) -> list[Run]:
    """All numbers, in runs; all of x86-64's second table, from 2**30, are in the last.

    That 32-bit wide one would be a way around the first.
    """
    labels = {
        numbers[name]: label
        for label, table in _LABELS.items()
        for name in table
        if name in numbers
    }
    runs = [Run(0, labels.get(0, "kill"))]
    for number in range(1, max(labels) + 2):
        label = labels.get(number, "kill")
        if label != runs[-1].label:
            runs.append(Run(number, label))
    return runs


def _halved(runs: Sequence[Run]) -> list[Line | str]:
    """Go to the label of the run that the number loaded is in, halving them.

    The kernel tries the filter on all numbers for each process that it is put in force
    for, which one comparison after another makes most of what that takes.
    """
    below, above = runs[: len(runs) // 2], runs[len(runs) // 2 :]
    first, label = above[0]
    if len(above) > 1:
        label = f"from {first}"
    return [
        Line(AT_LEAST, first, label, below[0].label if len(below) == 1 else ""),
        *(_halved(below) if len(below) > 1 else ()),
        *((label, *_halved(above)) if len(above) > 1 else ()),
    ]
