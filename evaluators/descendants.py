"""End what a process left behind: its orphans, theirs, and what these start."""

import os
import signal
import time
from collections.abc import Collection

from evaluators.kernel import told

SWEEP_S = 2.0
"""How long new descendants may go on to appear."""

_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


def sweep(live: Collection[int]) -> int:
    """End every child that is none of the live, with its own; how many there were.

    Who cuts this short has to call it again: what it stopped stays stopped.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        strays = _strays(live)
        if not strays:
            return len(ended)
        family = _frozen_family(strays)
        ended |= family
        for process in family:
            send(process, signal.SIGKILL)
        for process in strays:
            os.waitpid(process, 0)
    raise SystemExit(f"descendants still appear after {SWEEP_S} s of killing them")


def has_ended(process: int) -> bool:
    """Whether a child has ended; it is left to be waited for."""
    return os.waitid(os.P_PID, process, _LOOK) is not None


def children() -> list[int]:
    """Every child of this process."""
    return _strays(())


def send(process: int, number: int) -> None:
    """Send a signal, if the process is still there."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _strays(live: Collection[int]) -> list[int]:
    if not live and not _has_children():
        return []
    me, parents = os.getpid(), _parents()
    return [p for p, of in parents.items() if of == me and p not in live]


def _frozen_family(processes: list[int]) -> set[int]:
    """The processes with all their descendants, stopped so that none forks again."""
    family: set[int] = set()
    fresh = set(processes)
    while fresh:
        for process in fresh:
            send(process, signal.SIGSTOP)
        family |= fresh
        parents = _parents()
        fresh = {p for p, parent in parents.items() if parent in family} - family
    return family


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, _LOOK)
    except ChildProcessError:
        return False
    return True


def _parents() -> dict[int, int]:
    """Parent of every process there is."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = told(f"/proc/{name}/stat")
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
    return parents
