"""The two ways of saying something: results to stdout, everything else to stderr."""

import sys


def say(text: str) -> None:
    """Write a result, with a line end, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def red(text: str) -> str:
    """``text`` as a terminal shows it in red; as it is where nothing shows colours."""
    return f"\x1b[31m{text}\x1b[0m" if sys.stdout.isatty() else text


def note(text: str) -> None:
    """Write progress, a warning or an error, with a line end, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
