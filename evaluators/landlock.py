"""Landlock: no file can be reached by name, nor a port, a socket or a process outside.

A ruleset without any rule denies all that it handles. It is made once in the zygote and
put in force by each child. See landlock(7) and the kernel's userspace-api/landlock.
"""

import ctypes
import errno
from typing import NamedTuple

from evaluators.kernel import Call, call, system_call

FILES_FIRST = (1 << 13) - 1
"""Open, list, run, make and remove: what the first Landlock, of Linux 5.13, knows."""


class Handled(NamedTuple):
    """What a ruleset denies: bits of ``struct landlock_ruleset_attr``, in its order."""

    files: int
    ports: int
    scopes: int


MOST_FIRST = (
    Handled((1 << 16) - 1, 0b11, 0b11),  # 6.12: abstract sockets and signals outside
    Handled((1 << 16) - 1, 0b11, 0),  # 6.10: ioctl on devices
    Handled((1 << 15) - 1, 0b11, 0),  # 6.7: bind and connect by TCP
    Handled((1 << 15) - 1, 0, 0),  # 6.2: truncate
    Handled((1 << 14) - 1, 0, 0),  # 5.19: link and rename across folders
    Handled(FILES_FIRST, 0, 0),
)


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in Handled._fields)


def ruleset() -> int:
    """Descriptor of a ruleset that denies the most that this kernel knows to deny.

    Raises ``OSError`` where there is no Landlock.
    """
    *rest, last = MOST_FIRST
    for attempt in rest:
        try:
            return _created(attempt)
        except OSError as error:
            # What the kernel answers to bits, or a struct, newer than itself.
            if error.errno not in (errno.EINVAL, errno.E2BIG):
                raise
    return _created(last)


def restriction(descriptor: int) -> Call:
    """The call that puts a ruleset in force for a thread and all that comes of it.

    It is for ever. The process must have given up new privileges before.
    """
    return system_call("landlock_restrict_self", descriptor, 0)


def _created(handled: Handled) -> int:
    attributes = _Attributes(*handled)
    size = ctypes.sizeof(attributes)
    return call("landlock_create_ruleset", ctypes.byref(attributes), size, 0)
