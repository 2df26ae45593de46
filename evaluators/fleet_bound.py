"""Upper bound of the mean utility of several replicas that may share prefixes.

Each request is served by its fastest replica and finds in memory every block that a
request before it could have left there. Blocks that are new with a request must be
computed, somewhere and in order, between its arrival and its first token: by itself, or
by a later request that is ahead of it. So they bound its time to the first token, and
their work competes for the machine time of all replicas (``bounds.py``).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evaluators.bounds import alone_bound, competing_bound
from evaluators.fleet import Fleet, Member
from evaluators.scenario import Scenario
from evaluators.views import Floats, Ints
from evaluators.work import Tables, Work, chunk_ps, first_ps, prices, tables, token_ps
from evaluators.workloads.prefixes import Prefixes, Sessions
from evaluators.workloads.trace import PS_PER_S, Trace


def fleet_bound(scenario: Scenario) -> float:
    """Upper bound of the mean utility, whatever routes, schedules, evicts or moves.

    With sessions, arrivals depend on what was decided: then only the bound of requests
    alone holds.
    """
    members = members_of(scenario)
    options = [_options(_alone(scenario, member)) for member in members]
    by_price = [_least(together) for together in zip(*options, strict=False)]
    least = by_price[0]
    alone = alone_bound(scenario, least)
    if scenario.trace.sessions is not None:
        return alone
    n = len(members)
    first = least.prefill_s / n
    whole = max((w.prefill_s + w.answer_s for w in by_price), key=np.sum) / n
    return min(alone, competing_bound(scenario, least, first, whole))


def members_of(scenario: Scenario) -> tuple[Member, ...]:
    """The replicas that serve a scenario: its fleet, or its one engine."""
    fleet: Fleet | None = scenario.fleet
    if fleet is not None:
        return fleet.members
    return (Member(scenario.deployment, scenario.step_time),)


def shared_tokens(trace: Trace, block_tokens: int) -> Ints:
    """Leading prompt tokens that earlier requests may have left in memory, shape (n,).

    Whole blocks of the engine, and at least one token is left to compute.
    """
    prefixes = trace.prefixes
    if prefixes is None:
        return np.zeros(len(trace), dtype=np.int64)
    rows = np.repeat(np.arange(len(trace)), np.diff(prefixes.offsets))
    is_old = (
        _seen_before(prefixes, trace.arrived_ps[rows])
        if trace.sessions is None
        else _seen_elsewhere(prefixes, rows, trace.sessions)
    )
    blocks = np.bincount(rows[is_old], minlength=len(trace))
    most = (trace.prompt_tokens - 1) // block_tokens * block_tokens
    found: Ints = np.minimum(blocks * prefixes.block_tokens, most)
    return found


def _seen_before(prefixes: Prefixes, arrived_ps: Ints) -> np.ndarray:
    """Whether another request with the block came before, or at the same time."""
    names, which = np.unique(prefixes.ids, return_inverse=True)
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, which, arrived_ps)
    together = np.bincount(which[arrived_ps == first[which]], minlength=len(names))
    seen: np.ndarray = (arrived_ps > first[which]) | (together[which] > 1)
    return seen


def _seen_elsewhere(prefixes: Prefixes, rows: Ints, sessions: Sessions) -> np.ndarray:
    """Whether another session has the block, or an earlier request of the same one."""
    root = np.arange(len(sessions.after))
    for row, after in enumerate(sessions.after.tolist()):
        if after >= 0:
            root[row] = root[after]
    names, which = np.unique(prefixes.ids, return_inverse=True)
    least, most = np.full(len(names), len(root)), np.full(len(names), -1)
    first = least.copy()
    np.minimum.at(least, which, root[rows])
    np.maximum.at(most, which, root[rows])
    np.minimum.at(first, which, rows)
    seen: np.ndarray = (least != most)[which] | (rows > first[which])
    return seen


def _alone(scenario: Scenario, member: Member) -> Scenario:
    return replace(
        scenario,
        deployment=member.deployment,
        step_time=member.step_time,
        fleet=None,
    )


def _options(scenario: Scenario) -> list[Work]:
    """Least work on one replica at each valid price of a decoded token."""
    table = tables(scenario)
    return [_work(scenario, table, *price) for price in prices(table)]


def _work(
    scenario: Scenario, table: Tables, prompt_ps: float, answer_ps: float
) -> Work:
    """Least work of every request that finds what it can in memory."""
    step, trace, engine = scenario.step_time, scenario.trace, scenario.deployment
    shared = np.zeros(len(trace))
    if engine.prefix_caching:
        shared = shared_tokens(trace, engine.block_tokens).astype(np.float64)
    prompt = trace.prompt_tokens.astype(np.float64)
    later = (trace.output_tokens - 1).astype(np.float64)
    new = prompt - shared
    attention = step.prefill_work_ps * (prompt**2 - shared**2 - new**2)
    # What its last chunk reads of shared blocks; that of new ones is in ``first_ps``.
    found = step.prefill_context_ps * shared
    first = first_ps(step, table, new) + attention + found
    again = first if not engine.prefix_caching else first_ps(step, table, new * 0 + 1)
    each = prompt_ps + step.prefill_token_ps
    prefill = each * new + step.prefill_work_ps * (prompt**2 - shared**2)
    prefill += chunk_ps(step, prompt)
    context_ps = float(table.context_ps[1:].min())
    decode = answer_ps + context_ps * (prompt + 1)
    answer = later * np.minimum(decode, each)
    return Work(
        prefill / PS_PER_S,
        answer / PS_PER_S,
        first / PS_PER_S,
        later * np.minimum(token_ps(step, table, prompt), again) / PS_PER_S,
    )


def _least(works: Sequence[Work]) -> Work:
    """Column by column the least of several replicas."""

    def least(name: str) -> Floats:
        column: Floats = np.min([getattr(each, name) for each in works], axis=0)
        return column

    return Work(*(least(name) for name in Work.__dataclass_fields__))
