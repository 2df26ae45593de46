"""What the compiled core works on: flat records of integers."""

from typing import NamedTuple, TypeAlias

import numpy as np

from evaluators.views import Ints

Record: TypeAlias = np.record
"""One row; its fields read and write in place, as plain Python and when compiled."""
Records: TypeAlias = "np.recarray[tuple[int], np.dtype[np.record]]"
Table: TypeAlias = "np.recarray[tuple[int, int], np.dtype[np.record]]"

MOST_PS = 1 << 62
"""Simulated time and the duration of a step stay below this, so that sums fit."""

REQUEST = (
    "arrived_ps",
    "output",
    "goal",
    "computed",
    "capacity",
    "granted",
    "generated",
    "decoding",
    "last_token_ps",
    "next_waiting",
    "first_follower",
    "next_follower",
    "wait_ps",
    "seat",
    "filled",
    "sought",
    "admitted_ps",
    "first_token_ps",
    "finished_ps",
    "longest_gap_ps",
    "preemptions",
    "stall_ps",
    "hit_tokens",
    "replica",
    "lingers",
    "lags",
    "outlived",
)
"""A request; ``capacity`` is how many tokens its blocks hold, ``granted`` how many it
computes in the step that is being formed, ``next_waiting`` who waits behind it. Its
followers arrive ``wait_ps`` after its end. With a cache, its full blocks are noted at
its ``seat`` up to ``filled``; up to ``sought``, others may look for those of its output
while it is generated. Where steps are decided ahead: it ``lingers`` when it has all its
tokens and its memory still; it ``lags`` by a token of which nobody can find the block;
it ``outlived`` a preemption that came with its last token on its way."""

REPLICA = (
    "now_ps",
    "decides_ps",
    "free",
    "least_free",
    "n_running",
    "first_waiting",
    "last_waiting",
    "prefill_tokens",
    "prefill_work",
    "decodes",
    "context_tokens",
    "longest_context",
    "prefills",
    "prefill_context",
    "outstanding",
    "finished_now",
    "steps_left",
    "barren_steps",
    "is_steady",
    "unfilled",
    "first_free",
    "last_free",
    "spare",
    "n_copies",
    "n_seated",
    "run_of_steps",
    "run_end_ps",
    "step_ps",
)
"""An engine; at ``decides_ps`` its next step is decided: at ``now_ps``, or where it
decides ahead, when its last step began. ``outstanding`` requests were sent to it and
have not finished, and ``finished_now`` have at ``now_ps``. ``is_steady`` says that the
next step does what the last one did unless somebody arrives, finishes or lacks memory.
Of its ``free`` blocks, ``unfilled`` hold nothing; ``n_copies`` blocks hold what another
one does. The last three say how the run of steps goes on that is being written down."""

BLOCK = ("content", "holders", "before", "behind", "copy")
"""A full block: who is evicted before and behind it, who else has its content."""

COMING = ("at_ps", "row")
STEP = (
    "start_ps",
    "count",
    "first_ps",
    "growth_ps",
    "gaps",
    "decodes",
    "prefill_tokens",
    "replica",
)
EVENT = ("at_ps", "row", "kind", "replica")
PREEMPT, ADMIT, GAP = range(3)
"""Kinds of events. A gap between two tokens that is not one step long has its length
as ``at_ps``."""

KEY = ("content", "block")
"""Where a content is in memory; -1 as block is an empty place."""


class Limits(NamedTuple):
    """Sizes of every engine of a scenario, and what it does.

    A router that ``balances`` sends a request to whom has fewest, else to all in turn.
    It ``decides_ahead`` when each step is decided as the one before begins.
    More than ``barren_steps`` in a row without a token are too many. ``room`` is how
    many events are written down before they are handed over.
    """

    block_tokens: int
    max_running: int
    max_step_tokens: int
    reserves_prompt: bool
    caches: bool
    balances: bool
    has_followers: bool
    decides_ahead: bool
    barren_steps: int
    room: int


class Durations(NamedTuple):
    """``StepTime`` with its tables long enough for a deployment.

    Rows of ``tables_ps`` are those of tokens, of decodes, and of contexts from each of
    ``knots`` on.
    """

    tables_ps: Ints
    knots: Ints
    token_ps: int
    work_ps: int
    chunk_ps: int
    chunk_context_ps: int
    longest_ps: int
    beside_ps: int
    beside_context_ps: int


class Pace(NamedTuple):
    """So many steps, of which each is ``growth_ps`` longer than the one before."""

    steps: int
    first_ps: int
    growth_ps: int


class Arrivals(NamedTuple):
    """A heap of those that come; ``used`` are its length and how many have come."""

    coming: Records
    used: Ints


class Contents(NamedTuple):
    """Chains of the trace, of which a block holds ``parts`` blocks of the engine."""

    offsets: Ints
    ids: Ints
    parts: int


class Memory(NamedTuple):
    """Full blocks, where each content is, and which ones each seat holds.

    All but ``contents`` has a row for each replica; without a cache there are none.
    """

    contents: Contents
    blocks: Table
    places: Table
    seats: Ints
    held: Ints


class Log(NamedTuple):
    """What happened since it was last handed over; ``used`` counts rows of each."""

    steps: Records
    events: Records
    used: Ints


class State(NamedTuple):
    """A simulation: everything that the core reads and writes.

    ``running`` has the rows in running order of each replica.
    """

    requests: Records
    replicas: Records
    running: Ints
    arrivals: Arrivals
    memory: Memory
    limits: Limits
    durations: Durations
    log: Log


def blank(fields: tuple[str, ...], rows: int) -> Records:
    """Rows of integer fields, all 0."""
    return np.zeros(rows, _kind(fields)).view(np.recarray)


def blank_table(fields: tuple[str, ...], rows: int, columns: int) -> Table:
    """Rows and columns of integer fields, all 0."""
    return np.zeros((rows, columns), _kind(fields)).view(np.recarray)


def _kind(fields: tuple[str, ...]) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in fields])


def rows_of(records: Records, fields: tuple[str, ...]) -> Ints:
    """Records of these fields as an array of integers, a row each; shares memory."""
    return np.asarray(records).view(np.int64).reshape(len(records), len(fields))
