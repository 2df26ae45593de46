"""The starvation gate: no group of requests may pay for the others' utility.

A group's tail is the mean of its slowest 1 %, but of ten requests at least. In a
scenario of hundreds of requests a P99 is one request's luck: over 40 validation
scenarios a gate by P99 (groups of 5) turned a policy's paired gain in mean utility of 6
to 7 standard errors into one of -0.5 to 1; this tail leaves 1.6 to 6.4 of them.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from evaluators.metrics import Latencies, latencies
from evaluators.once import once_a_scenario
from evaluators.scenario import Scenario
from evaluators.sim.run import Run
from evaluators.views import Floats, Ints

PROMPT_BUCKETS = (0, 256, 1024, 4096)
"""Least prompt tokens of each length bucket."""
LEAST_REQUESTS = 40
"""A bucket of fewer requests joins its neighbour."""
ALLOWANCE = 1.5
"""How far a tail may exceed the reference rule's, as a factor."""
TAIL_SHARE_PER_MILLE = 10
TAIL_REQUESTS = 10


class Group(NamedTuple):
    """Requests of one service class and a range of prompt lengths."""

    name: str
    slo_class: int
    rows: Ints


class Gate(NamedTuple):
    """The worst factor over all tails, and the tail that it comes from."""

    factor: float
    tail: str
    own_s: float
    allowed_s: float


@once_a_scenario
def groups(scenario: Scenario) -> tuple[Group, ...]:
    """Groups of a scenario by class, then length; every request is in exactly one.

    Depends on the trace only. Buckets are joined from short to long until they hold
    ``LEAST_REQUESTS``; what remains joins the last one.
    """
    found = []
    for index, service in enumerate(scenario.classes):
        rows = np.flatnonzero(scenario.trace.slo_class == index)
        prompts = scenario.trace.prompt_tokens[rows]
        for low, high in _ranges(prompts):
            inside = rows[(prompts >= low) & (prompts < high)]
            end = "" if high == np.inf else f"{int(high) - 1}"
            found.append(Group(f"{service.name}/prompt {low}-{end}", index, inside))
    return tuple(found)


def tails(
    scenario: Scenario, run: Run, own: Latencies | None = None
) -> dict[str, float]:
    """Tails of TTFT and longest gap of every group, seconds, by name.

    ``own`` are the run's latencies, where somebody has them already.
    """
    own = own or latencies(scenario, run)
    found = {}
    for group in groups(scenario):
        for name, column in (("ttft", own.ttft_s), ("gap", own.gap_s)):
            found[f"{group.name}/{name}_tail_s"] = tail_s(column[group.rows])
    return found


def tail_s(times_s: Floats) -> float:
    """Mean of the slowest 1 %, at least ten, of the times that are not nan."""
    known = np.sort(times_s[~np.isnan(times_s)])
    if not known.size:
        return 0.0
    counted = max(TAIL_REQUESTS, -(-known.size * TAIL_SHARE_PER_MILLE // 1000))
    return float(known[-counted:].mean())


def gate(
    scenario: Scenario,
    run: Run,
    reference: Mapping[str, float],
    latency: Latencies | None = None,
) -> Gate:
    """Worst of min(1, allowed / own) over the tails of all groups.

    Allowed is the larger of 1.5 x the reference rule's tail and the objective: a group
    whose tail is within its own objective starves nobody.
    """
    own = tails(scenario, run, latency)
    worst = Gate(1.0, "", 0.0, 0.0)
    for group in groups(scenario):
        service = scenario.classes[group.slo_class]
        for name, objective_s in (("ttft", service.ttft_s), ("gap", service.gap_s)):
            tail = f"{group.name}/{name}_tail_s"
            allowed_s = max(ALLOWANCE * reference[tail], objective_s)
            if own[tail] * worst.factor > allowed_s:
                worst = Gate(allowed_s / own[tail], tail, own[tail], allowed_s)
    return worst


def _ranges(prompts: Ints) -> list[tuple[int, float]]:
    """Half-open prompt ranges that hold at least ``LEAST_REQUESTS`` each."""
    starts: list[float] = []
    start = 0.0
    for high in (*PROMPT_BUCKETS[1:], np.inf):
        if np.sum((prompts >= start) & (prompts < high)) >= LEAST_REQUESTS:
            starts.append(start)
            start = high
    if not starts:
        return [(0, np.inf)] if prompts.size else []
    return [(int(low), high) for low, high in pairwise((*starts, np.inf))]
