"""The two ways of saying something: results to stdout, everything else to stderr."""

import os
import sys
from contextlib import suppress
from typing import TextIO

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def fill_missing() -> None:
    """Give every stream that the caller has closed the null device.

    In the order of their numbers, so that no file is opened under one of these.
    """
    for name, mode in STREAMS:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            stream = open(descriptor, mode, encoding="utf-8")  # noqa: SIM115 (for good)
            setattr(sys, name, stream)


def let_go(stream: TextIO) -> None:
    """Send what it still holds nowhere, as where it went takes no more."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> None:
    """Write a result, with a line end, at once.

    Raises ``OSError`` with one line when it cannot be, as on a full disk.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go(sys.stdout)
        raise OSError(
            f"cannot write to stdout: {error.strerror}; send it to a file or a device "
            "that has room"
        ) from None


def red(text: str) -> str:
    """``text`` as a terminal shows it in red; as it is where nothing shows colours."""
    return f"\x1b[31m{text}\x1b[0m" if sys.stdout.isatty() else text


def note(text: str) -> None:
    """Write progress, a warning or an error, with a line end, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def note_if_heard(text: str) -> None:
    """The same, and nothing where it cannot be: Ctrl-C ends ``tee`` as well."""
    try:
        note(text)
    except OSError:
        let_go(sys.stderr)
