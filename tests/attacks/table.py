"""What an attack is, and the lines that many begin with."""

import os
from dataclasses import replace
from typing import NamedTuple

from evaluators.confine import Limits

OS = "import statistics; os = statistics.sys.modules['os']"
"""The list of imports is no boundary: what may be imported hands out what may not."""

SPIN = "while True: pass"
ANSWER = "return waiting.prompt_tokens * 1.0"


LAYERED = ("landlock", "seccomp")
"""Either of these would do alone."""

PRIVILEGED = ("privileges",) if os.getuid() == 0 else ()
"""One of root's processes may touch another only with as many capabilities."""

PROCESSES = (*PRIVILEGED, *LAYERED)
FORKING = ("seccomp",) if os.getuid() == 0 else ("limits", "seccomp")
"""A limit of processes stops anybody from forking but root."""

REFUSED = ("exception", "PermissionError")
"""Kind and text of a failure over a file."""


LIMITS = Limits(cpu_s=1, wall_s=60, memory_bytes=1 << 26)
HURRIED = replace(LIMITS, cpu_s=0.2)
IMPATIENT = replace(LIMITS, wall_s=0.3)
ALONE = ("process",)


class Attack(NamedTuple):
    """A policy's source, the kind of failure expected of it, and what guards from it.

    ``source`` may name the prey: ``$file`` and so on, see ``tests.attacks.prey``. An
    empty ``kind`` is a policy that is scored, and does no harm. ``guards`` are the
    layers without which it succeeds, checks of the judge's that
    ``tests.attacks.guards`` takes away, or "process" for the process of its own; none
    where it is only to fail. It has succeeded when ``sentinel`` says so: the name of a
    test in ``tests.attacks.sentinels``, "fell" if no judge survives it. It is tried so
    many ``times``, ``on`` a problem or, without one, on the smallest that there is.
    """

    source: str
    kind: str
    says: str = ""
    guards: tuple[str, ...] = ()
    sentinel: str = "told"
    limits: Limits = LIMITS
    on: str = ""
    times: int = 1


def hook(*lines: str, head: str = "") -> str:
    """A policy whose admit_key runs ``lines``."""
    body = "\n        ".join(lines)
    return (
        f"import numpy as np\n{head}\n\nclass Attack:\n"
        f"    def admit_key(self, waiting, engine):\n        {body}\n"
    )


def constructor(*lines: str) -> str:
    """A policy whose constructor runs ``lines``."""
    body = "\n        ".join(lines)
    return (
        "import numpy as np\n\nclass Attack:\n"
        f"    def __init__(self):\n        {body}\n"
        "    def admit_key(self, waiting, engine):\n        return waiting.id\n"
    )


def ctypes_hook(*lines: str) -> str:
    """The same with ctypes as ``c`` and the C library as ``libc``."""
    found = "c = os.sys.modules['ctypes']; libc = c.CDLL(None)"
    return hook(OS, found, *lines)
