"""What policies know requests by: it follows the order of arrival alone."""

import numpy as np

from evaluators.once import once_a_scenario
from evaluators.opaque import opaque_ids, renamed
from evaluators.scenario import Scenario
from evaluators.views import Ints
from evaluators.workloads.trace import Trace


class Identities:
    """Public places and identities of requests, one numbering for all their engines.

    The place of a request is how many arrived before it; a row of the trace may never
    be shown where sessions are, as rows of turns that are still to come leave gaps.
    Without sessions rows arrive in order: a row is its own place, ``places`` is None
    and all is known at once. ``known`` has a column a row, -1 before it arrives: its
    id, its session (the id of the session's first request; -1 without sessions) and
    the content of its prompt's first block (-1 if it has none).
    """

    __slots__ = ("_contents", "_first", "_ids", "_n", "_root", "known", "places")

    def __init__(self, scenario: Scenario) -> None:
        n, sessions = len(scenario.trace), scenario.trace.sessions
        self.places: list[int] | None = None
        if sessions is None:
            self.known: Ints = _all_known(scenario)
            return
        self._ids = opaque_ids(n, scenario.id_key)
        self.known = np.full((3, n), -1, dtype=np.int64)
        self.places = [-1] * n
        self._root = _roots(sessions.after.tolist())
        self._first: list[int] = _first_blocks(scenario.trace).tolist()
        self._contents: dict[int, int] = {}
        self._n = 0

    def arrive(self, row: int) -> int:
        """The place of a request: the next one if it is here for the first time."""
        places = self.places
        if places is None:
            return row
        if places[row] < 0:
            places[row] = self._n
            self._n += 1
            self._name(row, places)
        return places[row]

    def _name(self, row: int, places: list[int]) -> None:
        ids, content = self._ids, self._first[row]
        self.known[:2, row] = ids[places[row]], ids[places[self._root[row]]]
        if content >= 0:
            number = self._contents.setdefault(content, len(self._contents))
            self.known[2, row] = ids[number]


@once_a_scenario
def _all_known(scenario: Scenario) -> Ints:
    """What is known of requests that arrive in order, whatever a policy does."""
    n, key = len(scenario.trace), scenario.id_key
    known = np.full((3, n), -1, dtype=np.int64)
    known[0], known[2] = opaque_ids(n, key), renamed(_first_blocks(scenario.trace), key)
    known.setflags(write=False)
    return known


def _roots(after: list[int]) -> list[int]:
    """The first request of each one's session, which arrives before it."""
    root = list(range(len(after)))
    for row, before in enumerate(after):
        if before >= 0:
            root[row] = root[before]
    return root


def _first_blocks(trace: Trace) -> Ints:
    """Content of each request's first block, -1 where it has none."""
    found, prefixes = np.full(len(trace), -1), trace.prefixes
    if prefixes is not None:
        has = np.diff(prefixes.offsets) > 0
        found[has] = prefixes.ids[prefixes.offsets[:-1][has]]
    return found
