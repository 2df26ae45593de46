"""What the kernel tells, and system calls that Python has no function for, by name."""

import ctypes
import functools
import os
import platform
from collections.abc import Callable
from typing import Any

NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {"seccomp": 317, "capset": 126, "unshare": 272, "process_vm_readv": 310},
    "aarch64": {"seccomp": 277, "capset": 91, "unshare": 97, "process_vm_readv": 270},
}
"""Numbers that differ by machine, from Linux's unistd_64.h and unistd.h."""

COMMON = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
"""Numbers since Linux 5.2 are the same on all machines."""

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments."""

_HERE = COMMON | NUMBERS.get(platform.machine(), {})


def told(path: str) -> str:
    """What a file of /proc says."""
    # pathlib would be two hundred pages for every policy's process to copy and free.
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """Result of a system call; raises ``OSError`` that names it.

    Each argument is passed as a C long, or as the pointer that it is.
    """
    return made(name, system_call(name, *arguments))


def system_call(name: str, *arguments: object) -> Call:
    """The same, ready to be made: -1 is an error, see ``ctypes.get_errno``."""
    number = _HERE.get(name)
    if number is None:
        raise OSError(38, f"{name}: no number known on {platform.machine()}")
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return libc().syscall, (ctypes.c_long(number), *longs)


def prctl(option: int, *arguments: int) -> int:
    """Set or ask something of this process; raises ``OSError`` that names it."""
    return made(f"prctl({option}, ...)", prctl_call(option, *arguments))


def prctl_call(option: int, *arguments: int) -> Call:
    """The same, ready to be made: -1 is an error, see ``ctypes.get_errno``."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return libc().prctl, (option, *map(ctypes.c_ulong, padded))


def made(name: str, call: Call) -> int:
    """Result of a ready call; ``OSError`` with the reason if it is negative."""
    function, arguments = call
    result: int = function(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
