"""What is taken from a policy's process before it runs a line of the policy.

Layer by layer, each with a name: its life beyond the parent's, its descriptors, all
but a stated amount of CPU time and memory, privileges, files and processes by Landlock,
and nearly all system calls by seccomp. What a layer needs is made ready once in the
zygote (``Confinement``), so that a child only puts it in force.
"""

import fcntl
import inspect
import math
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from evaluators import landlock, seccomp
from evaluators.kernel import call, prctl

POLICY_DESCRIPTOR = 3
"""Where a confined process finds its socket; 0, 1 and 2 are /dev/null."""

LAYERS = ("session", "descriptors", "limits", "privileges", "landlock", "seccomp")
"""In the order in which they are put in force."""

REPORT = struct.Struct("<ii")
"""First packet on a child's socket: the layer that failed, or -1, and its errno."""

Made = TypeVar("Made")

MOST_CPU_S, MOST_BYTES = 10**9, 1 << 62
"""What the kernel can be told as a limit, and more than any policy needs."""

_MAX_DESCRIPTORS = 16
_OUT_OF_THE_WAY = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_NO_CAPABILITIES = struct.pack("Ii", 0x20080522, 0), bytes(24)
_MOST_RESOURCES = (
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NPROC, 0),
)
# In a fresh fork each page touched is a page copied, and Python's wrapper of this
# function, which makes enumerations, touches fifty.
_set_handler = inspect.unwrap(signal.signal)
_BY_DEFAULT = int(signal.SIG_DFL)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one policy may use on one scenario.

    ``cpu_s`` decides; ``wall_s`` bounds the time the engine waits for answers in all
    and is a few times looser, so that a busy machine fails nobody. ``memory_bytes`` is
    on top of what Python and numpy take. ``question_cpu_s`` bounds any one question.
    """

    cpu_s: float
    wall_s: float
    memory_bytes: int
    question_cpu_s: float = float("inf")

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming the first limit that is none."""
        for name in ("cpu_s", "wall_s", "memory_bytes", "question_cpu_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected above 0")
        for name, most in (("cpu_s", MOST_CPU_S), ("memory_bytes", MOST_BYTES)):
            if getattr(self, name) > most:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; expected at most {most}"
                )


class ConfinementError(Exception):
    """A layer cannot be put in force; ``layer`` names it, ``reason`` says why."""

    def __init__(self, layer: str, code: int) -> None:
        self.layer = layer
        self.code = code
        self.reason = os.strerror(code) if code else "not supported here"
        super().__init__(f"{layer} cannot be put in force: {self.reason}")


class Confinement:
    """The layers, made ready in the zygote and put in force in each of its children.

    A layer that cannot be made ready fails when a child asks for it, not before.
    """

    def __init__(self) -> None:
        self._null = _high(os.open(os.devnull, os.O_RDWR))
        self._ruleset = _ready(lambda: _high(landlock.ruleset()))
        self._program = _ready(
            lambda: seccomp.policy_program(platform.machine(), POLICY_DESCRIPTOR)
        )
        # What every child begins with, as it inherits it.
        self._space_bytes = _address_space_bytes()
        self._steps: dict[str, Callable[[_Wanted], None]] = {
            "session": _lead_a_session,
            "descriptors": self._close_others,
            "limits": self._limit_resources,
            "privileges": _give_up_privileges,
            "landlock": self._restrict,
            "seccomp": self._filter_calls,
        }

    def apply(
        self, layers: Collection[str], limits: Limits, connection: int, parent: int
    ) -> None:
        """Confine the calling process, a fresh fork of ``parent``, for ever.

        Keeps of its descriptors only ``connection``, as ``POLICY_DESCRIPTOR``, where it
        is even when this raises ``ConfinementError``, naming the first layer that
        failed.
        """
        os.dup2(connection, POLICY_DESCRIPTOR)
        wanted = _Wanted(layers, limits, parent)
        for layer in LAYERS:
            if layer in layers:
                try:
                    self._steps[layer](wanted)
                except (OSError, ValueError) as error:
                    code = getattr(error, "errno", None)
                    raise ConfinementError(layer, code or 0) from error

    def _close_others(self, wanted: "_Wanted") -> None:
        for descriptor in (0, 1, 2):
            os.dup2(self._null, descriptor)
        first = POLICY_DESCRIPTOR + 1
        if "landlock" in wanted.layers and isinstance(self._ruleset, int):
            self._ruleset = os.dup2(self._ruleset, first)
            first += 1
        os.closerange(first, resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def _limit_resources(self, wanted: "_Wanted") -> None:
        # The kernel counts whole seconds, so the engine's side, which counts exactly,
        # is to notice first.
        cpu_s = math.ceil(wanted.limits.cpu_s) + 1
        memory = self._space_bytes + wanted.limits.memory_bytes
        _limit(resource.RLIMIT_AS, memory, memory)
        _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
        for what, most in _MOST_RESOURCES:
            _limit(what, most, most)

    def _restrict(self, _: "_Wanted") -> None:
        if isinstance(self._ruleset, OSError):
            raise self._ruleset
        landlock.restrict(self._ruleset)
        os.close(self._ruleset)

    def _filter_calls(self, _: "_Wanted") -> None:
        if isinstance(self._program, OSError):
            raise self._program
        seccomp.filter_calls(self._program)


class _Wanted(NamedTuple):
    """What a process is to be confined by, and whose child it is."""

    layers: Collection[str]
    limits: Limits
    parent: int


def die_with(parent: int, how: signal.Signals) -> None:
    """Have the kernel send ``how`` when the thread that made this process ends."""
    prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _ready(make: Callable[[], Made]) -> Made | OSError:
    try:
        return make()
    except OSError as error:
        return error


def _high(descriptor: int) -> int:
    """The same file under a number that no descriptor of a policy has."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    os.close(descriptor)
    return moved


def _lead_a_session(wanted: _Wanted) -> None:
    """Lead a session, so that the whole group can be killed, and outlive nobody."""
    os.setsid()
    _set_handler(signal.SIGTERM, _BY_DEFAULT)
    die_with(wanted.parent, signal.SIGKILL)


def _give_up_privileges(_: _Wanted) -> None:
    """Gain none by running a program, and keep none of root's."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    call("capset", *_NO_CAPABILITIES)


def _limit(what: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(what)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(what, (soft, hard))


def _address_space_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()
