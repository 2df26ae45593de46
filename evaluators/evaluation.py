"""What became of a policy: outcomes per scenario, reduced to a score or a failure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

FailureKind = Literal[
    "source",  # does not parse, too large, nested too deeply, or a barred import
    "interface",  # no policy class, no known hook, or its constructor raised
    "exception",  # a hook raised
    "decision",  # a hook returned something the engine cannot use
    "cpu_limit",
    "wall_limit",
    "memory_limit",
    "crash",  # ended by a signal that is none of the limits
    "exit",  # ended by itself
    "protocol",  # wrong nonce, stray bytes, an answer nobody asked for
    "no_progress",  # the engine no longer emitted tokens
]


MESSAGE_CHARS = 200

_ADDRESS = re.compile(r"\b[a-z][a-z+]{0,9}://[^\s'\"<>()]+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w/.)\]}])/(?:[^\s/'\"():,;<>]+/)+([^\s/'\"():,;<>]*)")


def printable(text: str, most: int) -> str:
    """``text`` on one line, at most so many characters, all of them printable."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:most]


def without_places(text: str) -> str:
    """``text`` with only the last name of absolute paths, and no network addresses.

    Where things lie on a machine is nobody's business, and differs from run to run.
    """
    return _PATH.sub(r"\1", _ADDRESS.sub("[address]", text))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a policy got no score; ``message`` is at most 200 printable characters."""

    kind: FailureKind
    message: str


class PolicyError(Exception):
    """Raised towards the engine when a policy fails; carries the typed failure."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        """Keep at most 200 printable characters of ``message``, no place among them."""
        told = printable(without_places(message), MESSAGE_CHARS)
        self.failure = Failure(kind, told)
        super().__init__(f"{kind}: {self.failure.message}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy did on one scenario.

    ``score`` is a fraction of the scenario's bound in [0, 1], 0 with a failure.
    ``metrics`` have their unit in the name. ``feedback`` is text for the next author
    of a policy: the worst cases with the decisions that led there. ``log`` holds what
    an isolated policy answered and ``decisions`` names it; a record keeps the name.
    """

    scenario: str
    regime: float
    score: float
    metrics: Mapping[str, float]
    feedback: str = ""
    failure: Failure | None = None
    decisions: str = ""
    log: bytes = field(default=b"", repr=False, compare=False)


class Dropped(NamedTuple):
    """Why a policy sat no exams after a rung (the first is 0): it is surely worse.

    ``interval`` is the mean, low and high of its gain over the best known there.
    """

    rung: int
    interval: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All outcomes of one policy on a split, in the split's order.

    A failed scenario stays in the list with score 0: it is never skipped. What was
    ``dropped`` has outcomes of its rungs only and never ranks beside what was not.
    ``isolation`` names the level in force where the policy ran.
    """

    outcomes: tuple[Outcome, ...]
    isolation: str
    dropped: Dropped | None = None

    @property
    def score(self) -> float:
        """Mean score over the scenarios; 0 for an evaluation without any."""
        if not self.outcomes:
            return 0.0
        return sum(o.score for o in self.outcomes) / len(self.outcomes)

    @property
    def failure(self) -> Failure | None:
        """The first scenario's failure in order, or None when every one was scored."""
        return next((o.failure for o in self.outcomes if o.failure), None)

    @property
    def scores(self) -> tuple[float, ...]:
        """Score of each scenario, in the split's order."""
        return tuple(o.score for o in self.outcomes)
