"""The questions that a fleet asks its router, and the checks of answers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluators.evaluation import PolicyError
from evaluators.fleet import Fleet
from evaluators.manners import Manner
from evaluators.problem import Hook, numbers
from evaluators.sim.asking import called
from evaluators.views import Ints
from evaluators.views_replicas import Movable, Replicas, Request

HOOKS = (
    Hook(
        "route",
        ("request", "replicas"),
        "index",
        "Index of the replica that serves the request, or several indices to probe in "
        "this order: a replica takes a probed request only if it can start it at once "
        "(no prompt waits or is being computed there, and a slot and memory for the "
        "whole prompt are free); each rejection costs a round trip, and after the last "
        "one the request queues at the first. The first must be healthy and not of "
        "role 2.",
        "at each arrival, and again for each request of a replica that is lost",
    ),
    Hook(
        "migrate",
        ("requests", "replicas"),
        "pairs",
        "Rows (index of a request, index of the replica it moves to), shape (k, 2), k "
        "may be 0: its KV is copied while it goes on decoding, then it pauses for a "
        "step or so. Where the destination has no memory for it, it stays.",
        "every migrate_every_s seconds, a number that the policy has as an attribute, "
        "in fleets with a wire between replicas",
    ),
)

MANNERS = (
    Manner(
        "migrate_every_s",
        0.0,
        has_number=True,
        expected="seconds between two questions to migrate",
    ),
)

VIEWS = {
    "request": Request.columns(),
    "replicas": Replicas.columns(),
    "requests": Movable.columns(),
}

MOST_PROBES = 64


class Route(NamedTuple):
    """Where a request goes: to the first at once, or probing all in order."""

    targets: tuple[int, ...]
    probes: bool


class RoutingPolicy:
    """A policy's routing hooks with every answer checked, and a count of questions.

    Raises ``PolicyError`` of kind "decision" for an answer that is not what the hook
    promises; what a hook itself raises becomes kind "exception".
    """

    __slots__ = ("migrate", "migrate_every_s", "questions", "route")

    def __init__(self, policy: object) -> None:
        self.questions = 0
        self.route: Callable[..., Any] | None = _hook(policy, "route")
        self.migrate: Callable[..., Any] | None = _hook(policy, "migrate")
        self.migrate_every_s = 0.0
        if self.migrate:
            self.migrate_every_s = _period(getattr(policy, "migrate_every_s", None))

    def targets(self, request: Request, replicas: Replicas) -> Route:
        """Where the request goes; the first is healthy and takes prompts."""
        assert self.route is not None
        # Taken before a policy in this process can write over what it is shown.
        healthy, role = replicas.healthy.tolist(), replicas.role.tolist()
        answer = self._call(self.route, request, replicas)
        route = checked_route(answer, len(healthy))
        first = route.targets[0]
        if not healthy[first] or role[first] == 2:
            why = "is down" if not healthy[first] else "computes no prompts"
            raise PolicyError("decision", f"route chose replica {first}, which {why}")
        return route

    def moves(self, requests: Movable, replicas: Replicas) -> Ints:
        """(row of ``requests``, replica) of each wanted move, shape (k, 2)."""
        assert self.migrate is not None
        answer = self._call(self.migrate, requests, replicas)
        return checked_pairs(answer, len(requests), len(replicas))

    def _call(self, hook: Callable[..., Any], *views: object) -> Any:  # noqa: ANN401
        self.questions += 1
        return called(getattr(hook, "__name__", "hook"), hook, *views)


class RoundRobin:
    """The built-in rule: replicas in turn, without those that are down."""

    def __init__(self) -> None:
        self._last = -1

    def choose(
        self, row: int, usable: Sequence[bool], outstanding: Sequence[int]
    ) -> int:
        """The next replica after the last one; at least one must be usable."""
        del row, outstanding
        n = len(usable)
        self._last = next(
            i % n for i in range(self._last + 1, self._last + 1 + n) if usable[i % n]
        )
        return self._last


class LeastOutstanding:
    """The built-in rule: the replica with the fewest unanswered requests."""

    def choose(
        self, row: int, usable: Sequence[bool], outstanding: Sequence[int]
    ) -> int:
        """The first of those with the fewest; at least one must be usable."""
        del row
        return min((count, i) for i, count in enumerate(outstanding) if usable[i])[1]


class Assigned:
    """No rule but a list: the replica of each request."""

    def __init__(self, replica: Sequence[int]) -> None:
        self._replica = replica

    def choose(
        self, row: int, usable: Sequence[bool], outstanding: Sequence[int]
    ) -> int:
        """The replica that the list has, whatever goes on."""
        del usable, outstanding
        return self._replica[row]


Rule = RoundRobin | LeastOutstanding | Assigned


def built_in(fleet: Fleet) -> Rule:
    """The rule that a fleet routes by where no policy does."""
    return RoundRobin() if fleet.rule == "round_robin" else LeastOutstanding()


def checked_route(answer: object, replicas: int) -> Route:
    """``answer`` as a ``Route`` over so many replicas; else ``PolicyError``."""
    array = _whole(answer, "route")
    if array.ndim > 1 or not 1 <= array.size <= MOST_PROBES:
        raise PolicyError(
            "decision",
            f"route returned shape {array.shape}; expected an index, or up to "
            f"{MOST_PROBES} of them in the order to probe",
        )
    targets = tuple(array.reshape(-1).tolist())
    wrong = next((i for i in targets if not 0 <= i < replicas), None)
    if wrong is not None:
        raise PolicyError(
            "decision", f"route chose replica {wrong}; there are {replicas}, from 0"
        )
    return Route(targets, len(targets) > 1)


def checked_pairs(answer: object, requests: int, replicas: int) -> Ints:
    """``answer`` as distinct rows with a replica each; else ``PolicyError``."""
    array = _whole(answer, "migrate")
    if not array.size:
        return np.zeros((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise PolicyError(
            "decision", f"migrate returned shape {array.shape}; expected (k, 2)"
        )
    if array.min() < 0 or (array.max(axis=0) >= (requests, replicas)).any():
        raise PolicyError(
            "decision",
            f"migrate returned an index out of {requests} requests, {replicas} "
            "replicas",
        )
    if len(set(array[:, 0].tolist())) < len(array):
        raise PolicyError("decision", "migrate moves a request twice")
    return array


def _whole(answer: object, hook: str) -> Ints:
    array = numbers(answer, hook)
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.floor(array)).all()):
            raise PolicyError(
                "decision", f"{hook} returned {array}; need whole numbers"
            )
        if array.size and np.abs(array).max() >= 2**53:
            raise PolicyError("decision", f"{hook} returned an index out of range")
    if array.dtype.kind == "u" and array.size and array.max() >= 2**63:
        raise PolicyError("decision", f"{hook} returned an index out of range")
    return array.astype(np.int64)


def _hook(policy: object, name: str) -> Callable[..., Any] | None:
    found = getattr(policy, name, None)
    return found if callable(found) else None


def _period(seconds: object) -> float:
    if isinstance(seconds, int | float) and 0 < seconds < float("inf"):
        return float(seconds)
    raise PolicyError(
        "interface",
        f"migrate_every_s is {seconds!r}; a policy with migrate needs seconds above 0",
    )
