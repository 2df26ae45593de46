"""The processes of a pool, what they hold, and how to end one of them and no other."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.test_pool import command
from tests.test_sandbox import is_filtered, processes

GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def workers(driver):
    """Worker processes of a driver's pools, with those that just start."""
    found = {p for p, parent in processes().items() if parent == driver}
    return {p for p in found if "popen_loky" in command(p)}


def zygotes(driver):
    """The processes that the workers fork policies from."""
    above, parents = workers(driver), processes()
    found = {p for p, parent in parents.items() if parent in above}
    return {p for p in found if "evaluators.zygote" in command(p)}


def policies(driver):
    """Processes that are confined, and so may hold a policy."""
    above, found = zygotes(driver), set()
    for process, parent in processes().items():
        with suppress(*GONE):
            if parent in above and is_filtered(process):
                found.add(process)
    return found


def end(process, is_one):
    """Send SIGKILL if it is one of ours still, and no other that has its number."""
    try:
        held = os.pidfd_open(process)
    except ProcessLookupError:
        return False
    try:
        if not is_one(process):
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(held)
    return True


def memory(process):
    """MB resident, proportional and anonymous; None when the process has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except GONE:
        return None
    fields = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    if not fields.get("Rss"):
        return None
    return tuple(fields[name] / 1024 for name in ("Rss", "Pss", "Anonymous"))


def descriptors(process):
    """How many descriptors a process has open; 0 when it has ended."""
    try:
        return len(os.listdir(f"/proc/{process}/fd"))
    except GONE:
        return 0


def shared_names(driver):
    """Names in shared memory that loky made for a driver."""
    return {name for name in os.listdir("/dev/shm") if f"loky-{driver}-" in name}
