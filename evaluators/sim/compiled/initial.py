"""Makes the state of a simulation before anything has arrived."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from evaluators.calibration.step_time import StepTime, entry
from evaluators.scenario import Scenario
from evaluators.sim.cache.sought import sought_tokens
from evaluators.sim.compiled.state import (
    BLOCK,
    COMING,
    EVENT,
    KEY,
    REPLICA,
    REQUEST,
    STEP,
    Arrivals,
    Contents,
    Durations,
    Limits,
    Log,
    Memory,
    Records,
    State,
    blank,
    blank_table,
)
from evaluators.sim.progress import BARREN_STEPS, most_steps
from evaluators.workloads.prefixes import Sessions


def initial(scenario: Scenario, rejected: Sequence[int], room: int) -> State:
    """All that the core needs to serve a scenario; ``room`` is that of its log."""
    deployment, fleet = scenario.deployment, scenario.fleet
    n_replicas = len(fleet.members) if fleet else 1
    comes = np.ones(len(scenario.trace), dtype=bool)
    comes[list(rejected)] = False
    rows = room + 3 * deployment.max_running
    tokens = deployment.max_step_tokens + deployment.max_running
    limits = Limits(
        deployment.block_tokens,
        deployment.max_running,
        deployment.max_step_tokens,
        deployment.reserve_full_prompt,
        deployment.prefix_caching,
        fleet is not None and fleet.rule == "least_outstanding",
        scenario.trace.sessions is not None,
        deployment.async_scheduling,
        BARREN_STEPS,
        room,
    )
    return State(
        requests=_requests(scenario, comes),
        replicas=_replicas(scenario, n_replicas),
        running=np.zeros((n_replicas, deployment.max_running), dtype=np.int64),
        arrivals=_arrivals(scenario, comes),
        memory=_memory(scenario, n_replicas if deployment.prefix_caching else 0),
        limits=limits,
        durations=_durations(scenario.step_time, tokens + 1),
        log=Log(blank(STEP, rows), blank(EVENT, rows), np.zeros(2, dtype=np.int64)),
    )


@lru_cache(maxsize=64)
def _durations(step_time: StepTime, most: int) -> Durations:
    """Durations by tables of so many entries."""
    tables = (step_time.tokens_ps, step_time.decodes_ps, *step_time.context_ps)
    return Durations(
        np.array([[entry(table, i) for i in range(most)] for table in tables]),
        np.array(step_time.context_knots),
        step_time.prefill_token_ps,
        step_time.prefill_work_ps,
        step_time.prefill_ps,
        step_time.prefill_context_ps,
        step_time.longest_context_ps,
        step_time.beside_decode_ps,
        step_time.beside_context_ps,
    )


def _requests(scenario: Scenario, comes: np.ndarray) -> Records:
    trace = scenario.trace
    requests = blank(REQUEST, len(trace))
    for never in (
        "arrived_ps",
        "last_token_ps",
        "next_waiting",
        "first_follower",
        "next_follower",
        "admitted_ps",
        "first_token_ps",
        "finished_ps",
        "replica",
    ):
        requests[never] = -1
    requests["goal"] = trace.prompt_tokens
    requests["output"] = trace.output_tokens
    if trace.sessions is not None:
        _follow(requests, trace.sessions, comes)
    if scenario.deployment.prefix_caching:
        requests["sought"] = sought_tokens(trace) // scenario.deployment.block_tokens
    return requests


def _follow(requests: Records, sessions: Sessions, comes: np.ndarray) -> None:
    """Chain those that follow the same request."""
    rows = np.flatnonzero(comes & (sessions.after >= 0))
    rows = rows[np.argsort(sessions.after[rows], kind="stable")]
    after = sessions.after[rows]
    starts = np.diff(after, prepend=-1) != 0
    requests["wait_ps"] = sessions.wait_ps
    requests["first_follower"][after[starts]] = rows[starts]
    requests["next_follower"][rows[:-1][~starts[1:]]] = rows[1:][~starts[1:]]


def _replicas(scenario: Scenario, n_replicas: int) -> Records:
    replicas = blank(REPLICA, n_replicas)
    for never in (
        "first_waiting",
        "last_waiting",
        "first_free",
        "last_free",
        "run_of_steps",
        "run_end_ps",
    ):
        replicas[never] = -1
    for blocks in ("free", "least_free", "unfilled"):
        replicas[blocks] = scenario.deployment.kv_blocks
    replicas["steps_left"] = most_steps(scenario)
    return replicas


def _arrivals(scenario: Scenario, comes: np.ndarray) -> Arrivals:
    """Those that wait for no other, in order: a heap as it is."""
    trace = scenario.trace
    coming = blank(COMING, len(trace) + 1)
    if trace.sessions is not None:
        comes = comes & (trace.sessions.after < 0)
    rows = np.flatnonzero(comes)
    coming["row"][: len(rows)] = rows
    coming["at_ps"][: len(rows)] = trace.arrived_ps[rows]
    return Arrivals(coming, np.array([len(rows), 0]))


def _memory(scenario: Scenario, n_replicas: int) -> Memory:
    deployment, trace = scenario.deployment, scenario.trace
    blocks, prefixes = deployment.kv_blocks, scenario.trace.prefixes
    none = np.zeros(0, dtype=np.int64)
    contents = Contents(np.zeros(len(trace) + 1, dtype=np.int64), none, 1)
    if prefixes is not None and n_replicas:
        parts = prefixes.block_tokens // deployment.block_tokens
        contents = Contents(np.array(prefixes.offsets), np.array(prefixes.ids), parts)
    longest = int((trace.prompt_tokens + trace.output_tokens).max())
    most = min(blocks, -(-longest // deployment.block_tokens))
    size = 1 << (2 * blocks - 1).bit_length()
    spare = blank_table(BLOCK, n_replicas, blocks)
    spare["behind"] = np.arange(1, blocks + 1)
    places = blank_table(KEY, n_replicas, size)
    places["block"] = -1
    seats = np.tile(np.arange(deployment.max_running), (n_replicas, 1))
    return Memory(
        contents,
        spare,
        places,
        seats,
        np.zeros((n_replicas, deployment.max_running, most), dtype=np.int64),
    )
