"""What is taken from a policy's process before it runs a line of the policy.

Today: its session, its descriptors, its life beyond the parent's, and all but a stated
amount of CPU time and memory.

Not covered: files, the network, signals to and memory of other processes of the same
user, and, when run as root, new processes. ``confine`` is the one place where Landlock
and seccomp are to deny them.
"""

import ctypes
import math
import os
import re
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

POLICY_DESCRIPTOR = 3
"""Where a confined process finds its socket; 0, 1 and 2 are /dev/null."""

_MAX_DESCRIPTORS = 16
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Limits:
    """What one policy may use on one scenario.

    ``cpu_s`` decides; ``wall_s`` bounds the time the engine waits for answers in all
    and is a few times looser, so that a busy machine fails nobody. ``memory_bytes`` is
    on top of what Python and numpy take.
    """

    cpu_s: float
    wall_s: float
    memory_bytes: int

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming the first limit that is not above 0."""
        for name in ("cpu_s", "wall_s", "memory_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected above 0")


def confine(limits: Limits, connection: int, parent: int) -> None:
    """Confine the calling process, a fresh fork of ``parent``, for ever.

    Keeps of its descriptors only ``connection``, as ``POLICY_DESCRIPTOR``. The process
    leads a session of its own, so that its whole group can be killed.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with(parent, signal.SIGKILL)
    _keep_only(connection)
    _limit_resources(limits)
    # Landlock and seccomp go here, last: they deny what the lines above need.


def die_with(parent: int, how: signal.Signals) -> None:
    """Have the kernel send ``how`` when the thread that made this process ends."""
    _prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}, {value}): {os.strerror(code)}")


def _keep_only(connection: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.dup2(connection, POLICY_DESCRIPTOR)
    os.closerange(POLICY_DESCRIPTOR + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit_resources(limits: Limits) -> None:
    # The kernel counts whole seconds, so the engine's side, which counts exactly, is
    # to notice first.
    cpu_s = math.ceil(limits.cpu_s) + 1
    memory = _address_space_bytes() + limits.memory_bytes
    wanted = (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS, _MAX_DESCRIPTORS),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
    )
    for what, soft, hard in wanted:
        ceiling = resource.getrlimit(what)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(what, (soft, hard))


def _address_space_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmSize:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None, "/proc/self/status has no VmSize"
    return int(found[1]) * 1024
