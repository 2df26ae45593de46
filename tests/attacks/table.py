"""What an attack is, and the lines that many begin with."""

import os
from typing import NamedTuple

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


class Attack(NamedTuple):
    """A policy's source, the kind of failure expected of it, and what guards from it.

    ``source`` may name the prey: ``$file`` and so on, see ``tests.attacks.prey``.
    ``guards`` are the layers without which it succeeds, or "process" for the process of
    its own; none where no layer but a check of answers stands in its way. It has
    succeeded when ``sentinel`` says so: the name of a test in ``tests.attacks.prey``.
    """

    source: str
    kind: str
    says: str = ""
    guards: tuple[str, ...] = ()
    sentinel: str = "told"


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
