"""Runs a function in a fork of this process, behind faked calls or as another user."""

import ctypes
import errno
import json
import os
import platform
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adrs import sandbox
from evaluators import kernel, seccomp
from evaluators.seccomp import ALLOW, ANY_BIT, EQUAL, ERRNO, LOAD, RETURN, Line

ROOT = Path(__file__).parents[1]
NOBODY = 65534
SET_DUMPABLE = 4
FIRST_ARGUMENT, THIRD_ARGUMENT = 16, 32
NEW_MOUNTS, BIND, PRIVATE = 0x20000, 4096, 0x44000
NUMBERS = (
    {
        "x86_64": {
            "setsid": 112,
            "prctl": 157,
            "prlimit64": 302,
            "close_range": 436,
            "clone3": 435,
            "personality": 135,
            "mount": 165,
            "bpf": 321,
            "ptrace": 101,
        },
        "aarch64": {
            "setsid": 157,
            "prctl": 167,
            "prlimit64": 261,
            "close_range": 436,
            "clone3": 435,
            "personality": 92,
            "mount": 40,
            "bpf": 280,
            "ptrace": 117,
        },
    }[platform.machine()]
    | kernel.NUMBERS[platform.machine()]
    | kernel.COMMON
)


class Fake(NamedTuple):
    """A system call that an outer filter answers with ``code`` and does not make.

    0 is a kernel that claims to have done it. ``first`` fakes it only with that first
    argument; ``sets`` only with a third one, which is how a limit is set.
    """

    call: str
    code: int
    first: int | None = None
    sets: bool = False


DOCKER = (
    *(Fake(name, errno.EPERM) for name in ("unshare", "mount", "bpf", "personality")),
    Fake("clone3", errno.ENOSYS),
)
"""What Docker's default profile denies and a start of ours might meet."""


def filter_of(fakes):
    """Lines of a filter that fakes some calls and lets all others pass."""
    lines = []
    for place, fake in enumerate(fakes):
        after = f"after {place}"
        lines += [Line(LOAD, seccomp.AT_NUMBER)]
        lines += [Line(EQUAL, NUMBERS[fake.call], "", after)]
        if fake.first is not None:
            lines += [Line(LOAD, FIRST_ARGUMENT), Line(EQUAL, fake.first, "", after)]
        if fake.sets:
            lines += [Line(LOAD, THIRD_ARGUMENT), Line(ANY_BIT, 2**32 - 1, "", after)]
        lines += [Line(RETURN, ERRNO | fake.code), after]
    return [*lines, Line(RETURN, ALLOW)]


def fake(*fakes):
    """Have the kernel fake some calls of this process and all that comes of it."""
    if os.getuid():
        kernel.prctl(38, 1)
    kernel.made("seccomp", seccomp.filtering(seccomp.assembled(filter_of(fakes))))


def become_nobody():
    """Become an ordinary user who can still read this Python and this repository."""
    roots = (sys.base_prefix, sys.prefix, ROOT, Path(np.__file__).parents[1])
    closed = {root: _closed(root) for root in map(Path, roots) if _closed(root)}
    if closed:
        _show(closed)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Changing users hides a process from its own kind, unlike being started by one.
    kernel.prctl(SET_DUMPABLE, 1)


def _closed(root):
    """The outermost folder around ``root`` that not everybody may enter, or None."""
    hidden = [p for p in root.parents if p.stat().st_mode & 0o5 != 0o5]
    return hidden[-1] if hidden else None


def _show(closed):
    """Mount roots where they are, under an open folder in the place of a closed one."""
    kernel.call("unshare", NEW_MOUNTS)
    _mount(b"none", b"/", None, PRIVATE)
    kept = {root: os.open(root, os.O_RDONLY) for root in closed}
    os.umask(0o022)
    for folder in set(closed.values()):
        _mount(b"tmpfs", bytes(folder), b"tmpfs", 0)
        folder.chmod(0o755)
    for root, descriptor in kept.items():
        root.mkdir(parents=True, exist_ok=True)
        _mount(b"/proc/self/fd/%d" % descriptor, bytes(root), None, BIND)


def _mount(what, where, kind, flags):
    libc = kernel.libc()
    given = what, where, kind, ctypes.c_ulong(flags), None
    kernel.made("mount", (libc.mount, given))


def in_fork(function, *before):
    """What ``function`` gives in a fork, through JSON, after each of ``before``."""
    # Two processes cannot share a zygote.
    sandbox.close_zygote()
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        code = 1
        try:
            for prepare in before:
                prepare()
            with os.fdopen(writing, "w") as answer:
                json.dump(function(), answer)
            code = 0
        except BaseException:  # noqa: BLE001 (shown, and failed over below)
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(process, 0)
    assert status == 0, f"status {status} in the fork: see its output"
    return json.loads(text)
