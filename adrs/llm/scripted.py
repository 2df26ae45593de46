"""Replies written beforehand: a public stand-in for tests, demos and dry runs."""

from collections.abc import Sequence
from pathlib import Path

from adrs.llm.model import Key, Message, Model, ModelError, ModelUnavailableError, Reply
from evaluators.problem import Problem

SEPARATOR = "%%"
"""A line that holds only this ends a reply in a file of replies."""

Line = str | ModelError | ModelUnavailableError


def build(
    problem: Problem,
    seed: int,
    *,
    replies: Sequence[str] = (),
    path: str | None = None,
    slots: int = 1,
) -> Model:
    """Model that says ``replies``, then those of the file ``path``, over and over.

    ``slots`` is how many questions a round asks; with it the replies are used one after
    another, whatever the order in which threads ask. Raises ``ValueError`` when there
    is no reply at all, ``OSError`` when the file cannot be read.
    """
    del problem, seed
    lines = [*replies, *(read(Path(path)) if path else ())]
    return Scripted(lines, slots)


def read(path: Path) -> tuple[str, ...]:
    """Replies of a file, which a line with only ``%%`` sets apart."""
    replies: list[list[str]] = [[]]
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() == SEPARATOR:
            replies.append([])
        else:
            replies[-1].append(line)
    return tuple("\n".join(lines) for lines in replies if any(lines))


class Scripted:
    """Answers a question by its key alone; what it is asked does not matter.

    Attempt a of slot s in round r >= 1 gets reply number (r - 1) * slots + s + a,
    counted around. An exception in the script is raised.
    """

    def __init__(self, script: Sequence[Line], slots: int = 1) -> None:
        if not script:
            raise ValueError("scripted model: no replies; give llm.replies or llm.path")
        self.name = "scripted"
        self._script = tuple(script)
        self._slots = slots

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """The reply of the script for ``key``."""
        del messages
        number = max(key.round - 1, 0) * self._slots + key.slot + key.attempt
        line = self._script[number % len(self._script)]
        if isinstance(line, Exception):
            raise type(line)(*line.args)
        return Reply(line)
