"""What is taken from a policy's process before it runs a line of the policy.

Layer by layer, each with a name: its life beyond the parent's, its descriptors, all
but a stated amount of CPU time and memory, privileges, files and processes by Landlock,
and nearly all system calls by seccomp. What a layer needs is made ready once in the
zygote (``Confinement``), so that a child only puts it in force.
"""

import ctypes
import fcntl
import math
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, TypeVar

from evaluators import landlock, seccomp
from evaluators.kernel import Call, libc, prctl, prctl_call, system_call, told

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
_BY_DEFAULT = ctypes.c_void_p(int(signal.SIG_DFL))


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


class Step(NamedTuple):
    """One call that a layer takes, ready to be made; -1 or an error is a failure."""

    layer: str
    call: Callable[..., object]
    arguments: tuple[object, ...]


class Confinement:
    """The layers, made ready in the zygote and put in force in each of its children.

    A layer that cannot be made ready fails when a child asks for it, not before.
    """

    def __init__(self) -> None:
        self._null = high(os.open(os.devnull, os.O_RDWR))
        self._ruleset = _ready(lambda: high(landlock.ruleset()))
        self._program = _ready(
            lambda: seccomp.policy_program(platform.machine(), POLICY_DESCRIPTOR)
        )
        # What every child begins with, as it inherits it.
        self._space_bytes = _address_space_bytes()
        self._makers: dict[str, Callable[[_Wanted], Iterator[Call]]] = {
            "session": self._session,
            "descriptors": self._descriptors,
            "limits": self._limits,
            "privileges": self._privileges,
            "landlock": self._landlock,
            "seccomp": self._seccomp,
        }

    def steps(self, layers: Collection[str], limits: Limits) -> tuple[Step, ...]:
        """All that a child of this process has to do for these layers."""
        wanted = _Wanted(layers, limits)
        return tuple(
            Step(layer, *call)
            for layer in LAYERS
            if layer in layers
            for call in self._calls(layer, wanted)
        )

    def _calls(self, layer: str, wanted: "_Wanted") -> list[Call]:
        try:
            return list(self._makers[layer](wanted))
        except OSError as error:
            return [(_fail, (error,))]

    def _session(self, _: "_Wanted") -> "Iterator[Call]":
        """Lead one, so that the whole group can be killed, and outlive nobody."""
        yield os.setsid, ()
        # Python's own way makes enumerations, which touch eighty pages.
        yield libc().signal, (int(signal.SIGTERM), _BY_DEFAULT)
        yield prctl_call(_PR_SET_PDEATHSIG, signal.SIGKILL)
        yield _end_without, (os.getpid(),)

    def _descriptors(self, wanted: "_Wanted") -> "Iterator[Call]":
        for descriptor in (0, 1, 2):
            yield os.dup2, (self._null, descriptor)
        first = POLICY_DESCRIPTOR + 1
        if "landlock" in wanted.layers and isinstance(self._ruleset, int):
            yield os.dup2, (self._ruleset, first)
            first += 1
        yield os.closerange, (first, resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def _limits(self, wanted: "_Wanted") -> "Iterator[Call]":
        # The kernel counts whole seconds, so the engine's side, which counts exactly,
        # is to notice first.
        cpu_s = math.ceil(wanted.limits.cpu_s) + 1
        memory = self._space_bytes + wanted.limits.memory_bytes
        yield _limiting(resource.RLIMIT_AS, memory, memory)
        yield _limiting(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
        for what, most in _MOST_RESOURCES:
            yield _limiting(what, most, most)

    def _privileges(self, _: "_Wanted") -> "Iterator[Call]":
        """Gain none by running a program, and keep none of root's."""
        yield prctl_call(_PR_SET_NO_NEW_PRIVS, 1)
        yield system_call("capset", *_NO_CAPABILITIES)

    def _landlock(self, wanted: "_Wanted") -> "Iterator[Call]":
        if isinstance(self._ruleset, OSError):
            raise self._ruleset
        is_moved = "descriptors" in wanted.layers
        ruleset = POLICY_DESCRIPTOR + 1 if is_moved else self._ruleset
        yield landlock.restriction(ruleset)
        yield os.close, (ruleset,)

    def _seccomp(self, _: "_Wanted") -> "Iterator[Call]":
        if isinstance(self._program, OSError):
            raise self._program
        yield seccomp.filtering(self._program)


class _Wanted(NamedTuple):
    """What a process is to be confined by."""

    layers: Collection[str]
    limits: Limits


def confine(steps: Sequence[Step], connection: int) -> None:
    """Confine the calling process, a fresh fork, for ever.

    Keeps of its descriptors only ``connection``, as ``POLICY_DESCRIPTOR``, where it
    is even when this raises ``ConfinementError``, naming the first layer that
    failed. All is made ready before the fork: in a fresh one each page touched is a
    page copied, and to look things up touches two hundred.
    """
    os.dup2(connection, POLICY_DESCRIPTOR)
    for layer, call, arguments in steps:
        try:
            if call(*arguments) == -1:
                raise ConfinementError(layer, ctypes.get_errno())
        except (OSError, ValueError) as error:
            raise ConfinementError(layer, getattr(error, "errno", None) or 0) from error


def die_with(parent: int, how: signal.Signals) -> None:
    """Have the kernel send ``how`` when the thread that made this process ends."""
    prctl(_PR_SET_PDEATHSIG, how)
    _end_without(parent)


def _end_without(parent: int) -> None:
    """End here if the parent did before the kernel was told to end this with it."""
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def high(descriptor: int) -> int:
    """The same file under a number that no descriptor of a policy has."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    os.close(descriptor)
    return moved


def _ready(make: Callable[[], Made]) -> Made | OSError:
    try:
        return make()
    except OSError as error:
        return error


def _limiting(what: int, soft: int, hard: int) -> Call:
    ceiling = resource.getrlimit(what)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    return resource.setrlimit, (what, (soft, hard))


def _fail(error: OSError) -> NoReturn:
    raise error


def _address_space_bytes() -> int:
    pages = told("/proc/self/statm").split()[0]
    return int(pages) * resource.getpagesize()
