"""What the compiled core works on: flat records of integers, and how they start."""

from typing import NamedTuple, TypeAlias

import numpy as np

from evaluators.calibration.step_time import StepTime, entry
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.progress import Progress
from evaluators.views import Ints

Record: TypeAlias = np.record
"""One row; its fields read and write in place, as plain Python and when compiled."""
Records: TypeAlias = "np.recarray[tuple[int], np.dtype[np.record]]"

MOST_PS = 1 << 62
"""Simulated time and the duration of a step stay below this, so that sums fit."""
REQUEST = (
    "due_ps",
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
    "admitted_ps",
    "first_token_ps",
    "finished_ps",
    "longest_gap_ps",
    "preemptions",
    "stall_ps",
    "hit_tokens",
    "replica",
)
"""A request; ``capacity`` is how many tokens its blocks hold, ``granted`` how many it
computes in the step that is being formed, ``next_waiting`` who waits behind it."""

REPLICA = (
    "now_ps",
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
    "outstanding",
    "finished_now",
    "steps_left",
    "barren_steps",
    "is_steady",
    "run_of_steps",
    "run_end_ps",
    "step_ps",
)
"""An engine; ``outstanding`` requests were sent to it and have not finished, and
``finished_now`` have at ``now_ps``. ``is_steady`` says that the next step does what the
last one did unless somebody arrives, finishes or lacks memory. The last three say how
the run of steps goes on that is being written down."""

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
DECISION = ("at_ps", "row", "is_admit", "replica")
GAP = ("gap_ps",)


class Limits(NamedTuple):
    """Sizes of every engine of a scenario.

    A router that ``balances`` sends a request to whom has fewest, else to all in turn.
    ``room`` is how many events are written down before they are handed over.
    """

    block_tokens: int
    max_running: int
    max_step_tokens: int
    reserves_prompt: bool
    balances: bool
    room: int


class Durations(NamedTuple):
    """``StepTime`` with its tables long enough for a deployment."""

    tokens_ps: Ints
    decodes_ps: Ints
    context_ps: Ints
    token_ps: int
    work_ps: int
    longest_ps: int


class Pace(NamedTuple):
    """So many steps, of which each is ``growth_ps`` longer than the one before."""

    steps: int
    first_ps: int
    growth_ps: int


class Log(NamedTuple):
    """What happened since it was last handed over; ``used`` counts rows of each."""

    steps: Records
    decisions: Records
    gaps: Records
    used: Ints


class State(NamedTuple):
    """A simulation: everything that the core reads and writes.

    ``running`` has the rows in running order of each replica, ``at`` how many of the
    ``arrivals`` have come.
    """

    requests: Records
    replicas: Records
    running: Ints
    arrivals: Ints
    at: Ints
    limits: Limits
    durations: Durations
    log: Log


def blank(fields: tuple[str, ...], rows: int, value: int = 0) -> Records:
    """Rows of integer fields."""
    kind = np.dtype([(name, np.int64) for name in fields])
    flat = np.full((rows, len(fields)), value, dtype=np.int64)
    return flat.view(kind).reshape(rows).view(np.recarray)


def rows_of(records: Records, fields: tuple[str, ...]) -> Ints:
    """Records of these fields as an array of integers, a row each; shares memory."""
    return np.asarray(records).view(np.int64).reshape(len(records), len(fields))


def initial(scenario: Scenario, rejected: Ints, room: int) -> State:
    """A simulation before anything has arrived."""
    fleet, deployment = scenario.fleet, scenario.deployment
    n_replicas = len(fleet.members) if fleet else 1
    comes = np.ones(len(scenario.trace), dtype=bool)
    comes[rejected] = False
    limits = Limits(
        deployment.block_tokens,
        deployment.max_running,
        deployment.max_step_tokens,
        deployment.reserve_full_prompt,
        fleet is not None and fleet.rule == "least_outstanding",
        room,
    )
    rows = room + 2 * deployment.max_running
    return State(
        requests=_requests(scenario),
        replicas=_replicas(scenario, n_replicas),
        running=np.zeros((n_replicas, deployment.max_running), dtype=np.int64),
        arrivals=np.flatnonzero(comes),
        at=np.zeros(1, dtype=np.int64),
        limits=limits,
        durations=durations(scenario.step_time, deployment),
        log=Log(
            blank(STEP, rows),
            blank(DECISION, rows),
            blank(GAP, rows),
            np.zeros(3, dtype=np.int64),
        ),
    )


def durations(step_time: StepTime, deployment: Deployment) -> Durations:
    """Tables that no step of the deployment can exceed."""
    decodes = deployment.max_running + 1
    tokens = deployment.max_step_tokens + decodes
    return Durations(
        _extended(step_time.tokens_ps, tokens),
        _extended(step_time.decodes_ps, decodes),
        _extended(step_time.context_ps, decodes),
        step_time.prefill_token_ps,
        step_time.prefill_work_ps,
        step_time.longest_context_ps,
    )


def _extended(table: tuple[int, ...], length: int) -> Ints:
    return np.array([entry(table, i) for i in range(length)], dtype=np.int64)


def _requests(scenario: Scenario) -> Records:
    trace = scenario.trace
    requests = blank(REQUEST, len(trace))
    for never in (
        "arrived_ps",
        "last_token_ps",
        "next_waiting",
        "admitted_ps",
        "first_token_ps",
        "finished_ps",
        "replica",
    ):
        requests[never] = -1
    requests["due_ps"] = trace.arrived_ps
    requests["goal"] = trace.prompt_tokens
    requests["output"] = trace.output_tokens
    return requests


def _replicas(scenario: Scenario, n_replicas: int) -> Records:
    replicas = blank(REPLICA, n_replicas)
    for never in ("first_waiting", "last_waiting", "run_of_steps", "run_end_ps"):
        replicas[never] = -1
    replicas["free"] = replicas["least_free"] = scenario.deployment.kv_blocks
    replicas["steps_left"] = Progress(scenario)._left
    return replicas
