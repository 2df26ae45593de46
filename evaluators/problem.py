"""A decision worth evolving: its brief, its hooks and views, and how it is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluators.evaluation import Outcome, PolicyError
from evaluators.manners import Manner
from evaluators.views import Column

if TYPE_CHECKING:  # a policy's process has neither traces nor simulator
    from evaluators.scenario import Scenario
    from evaluators.sim.run import Run

Returns = Literal[
    "keys", "values", "count", "grants", "index", "pairs", "modes", "nothing"
]
"""keys: float per row, held against the others of the question. values: float per row,
held against those of other questions, too. count: one whole number. grants: whole
numbers per waiting row and per running row. index: a row, or rows in the order to try.
pairs: rows of (which, where to). modes: a whole number per row. nothing: the hook only
listens."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One question that a policy may answer.

    ``arguments`` name the views it is given, in order; ``meaning`` says in a sentence
    what to return and how the engine uses it, ``asked`` when the engine asks.
    """

    name: str
    arguments: tuple[str, ...]
    returns: Returns
    meaning: str
    asked: str


def arguments(hooks: Sequence[Hook]) -> tuple[str, ...]:
    """Names of the views that some hooks are given together, in order of mention."""
    return tuple(dict.fromkeys(name for hook in hooks for name in hook.arguments))


def numbers(answer: object, hook: str) -> NDArray[Any]:
    """What a hook returned as an array; ``PolicyError`` "decision" if it is no numbers.

    Booleans, integers and floats are; strings, objects and ragged lists are not.
    """
    try:
        array = np.asarray(answer)
    except (TypeError, ValueError):
        raise PolicyError("decision", f"{hook} returned a ragged list") from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - it may run the policy's own lines
        what = f"{hook} returned what is no array: {type(error).__name__}"
        raise PolicyError("decision", what) from None
    if array.dtype.kind not in "biuf":
        raise PolicyError("decision", f"{hook} returned {array.dtype}; need numbers")
    return array


@dataclass(frozen=True, slots=True)
class Standard:
    """What a scenario's outcome is held against; computed once per scenario.

    ``bound`` is an upper bound of the objective that no policy can exceed;
    ``tails`` are the reference rule's tail latencies by group, for the starvation gate.
    """

    bound: float
    tails: Mapping[str, float]


class Exam(NamedTuple):
    """A scenario with what its outcome is held against."""

    scenario: "Scenario"
    standard: Standard


class Problem(Protocol):
    """A file of ``evaluators/problems`` defines one as ``PROBLEM``.

    ``evaluate`` runs ``policy`` (an object with some of the hooks, in process or a
    proxy of one that is not) on a scenario. A policy's fault comes back as an outcome
    with a failure; an exception is our bug. Nothing is shared between calls.
    ``headline`` names the metrics of an outcome that a table of scores shows.
    """

    name: str
    brief: str
    hooks: tuple[Hook, ...]
    manners: tuple[Manner, ...]
    views: Mapping[str, tuple[Column, ...]]
    headline: tuple[str, ...]

    def standard(self, scenario: "Scenario") -> Standard:
        """Bound and reference tails of a scenario, without any policy."""
        ...

    def serve(self, policy: object, scenario: "Scenario") -> "Run":
        """Serve the scenario under the policy; ``PolicyError`` for its fault."""
        ...

    def evaluate(
        self, policy: object, scenario: "Scenario", standard: Standard
    ) -> Outcome:
        """Serve the scenario under the policy and score what happened."""
        ...
