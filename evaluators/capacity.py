"""The load that the engine's own rules can bear, searched once and stored."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.cluster.serving import serve_fleet
from evaluators.sim.engine import simulate
from evaluators.sim.run import Run
from evaluators.splits import Plan, Service, draw_split
from evaluators.workloads.trace import PS_PER_S, Ints, Trace
from evaluators.workloads.workload import Workload

ATTAINED = 0.9
"""Share of requests that keep their objectives at capacity."""
RULES = 1
"""Version of the rules that decide how requests fare without any policy.

Raise it with any change after which ``simulate`` or ``serve_fleet`` gives other times
for some scenario, or ``in_objectives`` another answer, and run
``python -m tests.shipped_capacities``: what was found before is then searched anew.
"""
SEARCH_SEEDS = 4
PRECISION = 0.01
LEAST_PER_S, MOST_PER_S = 2.0**-6, 2.0**20

SHIPPED = Path(__file__).parent / "workloads" / "capacities.json"


def capacity_per_s(workload: Workload, service: Service, n_requests: int) -> float:
    """Highest request rate at which 90 % of requests keep all objectives, to 1 %.

    Bisection over the rate of four fixed draws of the train split, under the engine's
    own rules, or under its fleet's. Raises ``ValueError`` when even a request alone
    rarely keeps them.
    """
    low, high = LEAST_PER_S, MOST_PER_S
    if attained(workload, service, n_requests, low) < ATTAINED:
        raise ValueError(
            f"{workload.name} on {service.deployment.name}: at {low:.3f} requests/s "
            f"less than {ATTAINED:.0%} of requests keep their objectives; choose a "
            "faster deployment or another workload"
        )
    rate = 1.0
    while high / low > 1 + PRECISION:
        if attained(workload, service, n_requests, rate) >= ATTAINED:
            low = rate
        else:
            high = rate
        rate = _between(low, high)
    return float(f"{low:.3g}")


def attained(
    workload: Workload, service: Service, n_requests: int, rate_per_s: float
) -> float:
    """Share of requests that keep all objectives at a rate, by the engine's rules."""
    plan = Plan(seeds=SEARCH_SEEDS, n_requests=n_requests, regimes=(1.0,))
    scenarios = draw_split(workload, service, "train", plan, rate_per_s)
    kept = [in_objectives(scenario, _served(scenario)) for scenario in scenarios]
    return float(np.concatenate(kept).mean())


def _served(scenario: Scenario) -> Run:
    if scenario.fleet is not None:
        return serve_fleet(scenario, None)
    return simulate(scenario, None)


def in_objectives(scenario: Scenario, run: Run) -> np.ndarray:
    """Whether each request kept its TTFT, TPOT and longest gap, shape (n,) of bool.

    TPOT is the mean time between tokens; one token has neither TPOT nor gap.
    """
    trace = scenario.trace
    names = ("ttft_s", "tpot_s", "gap_s")
    limits_ps = [
        np.array([round(getattr(c, name) * PS_PER_S) for c in scenario.classes])
        for name in names
    ]
    ttft, tpot, gap = (limit[trace.slo_class] for limit in limits_ps)
    later_tokens = trace.output_tokens - 1
    return np.asarray(
        (run.finished_ps >= 0)
        & (run.first_token_ps - run.arrived_ps <= ttft)
        & (run.finished_ps - run.first_token_ps <= tpot * later_tokens)
        & (run.longest_gap_ps <= gap)
    )


def stored_capacity_per_s(
    workload: Workload, service: Service, n_requests: int, path: Path
) -> float:
    """``capacity_per_s`` from the shipped file or ``path``, else searched and stored.

    A stored value is found again only while draws, service and the numbers of the
    search are the same, and ``RULES``, which stands for the simulator's code: who
    changes what that gives and does not raise it finds outdated capacities.
    """
    key = digest(workload, service, n_requests)
    for file in (SHIPPED, path):
        known = load(file).get(key)
        if known is not None:
            return float(known["capacity_per_s"])
    found = capacity_per_s(workload, service, n_requests)
    store(path, {key: entry(workload, service, n_requests, found)})
    return found


def digest(workload: Workload, service: Service, n_requests: int) -> str:
    """Hash of the searched draws, the service, and the rules of search and engine."""
    plan = Plan(seeds=SEARCH_SEEDS, n_requests=n_requests, regimes=(1.0,))
    text = f"{RULES} {ATTAINED} {PRECISION} {_spelt(service)}"
    hashed = hashlib.sha256(text.encode())
    for scenario in draw_split(workload, service, "train", plan, 1.0):
        for column in decisive(scenario.trace):
            hashed.update(column.tobytes())
    return hashed.hexdigest()[:16]


def decisive(trace: Trace) -> list[Ints]:
    """The columns that decide how requests fare without any policy."""
    columns = [trace.arrived_ps, trace.prompt_tokens, trace.output_tokens]
    columns.append(trace.slo_class)
    if trace.prefixes is not None:
        columns += [trace.prefixes.offsets, trace.prefixes.ids]
    if trace.sessions is not None:
        columns += [trace.sessions.after, trace.sessions.wait_ps]
    return columns


def _spelt(value: object) -> str:
    """A value with its fields, but for those at their defaults.

    So a new switch of a deployment that is off changes no digest.
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(_spelt, value))})"
    if not is_dataclass(value):
        return repr(value)
    told = [
        f"{field.name}={_spelt(getattr(value, field.name))}"
        for field in fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(told)})"


def entry(
    workload: Workload, service: Service, n_requests: int, found_per_s: float
) -> dict[str, Any]:
    """What is stored of a search."""
    return {
        "workload": workload.name,
        "deployment": service.deployment.name,
        "calibration": service.calibration,
        "n_requests": n_requests,
        "capacity_per_s": found_per_s,
    }


def load(path: Path) -> dict[str, Any]:
    """Stored searches by digest; none where there is no file.

    Raises ``ValueError`` naming a file that is not one of ours.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        wrong = [key for key, one in found.items() if not one["capacity_per_s"] > 0]
        if wrong:
            raise ValueError(f"{wrong[0]} has no rate above 0")
    except FileNotFoundError:
        return {}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a file of capacities ({error}); delete it"
        ) from None
    return dict(found)


def store(path: Path, entries: Mapping[str, Any]) -> None:
    """Add searches to a file, replacing it at once and as a whole."""
    together = {**load(path), **entries}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(together, indent=1, sort_keys=True)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def _between(low: float, high: float) -> float:
    """A factor of two until both ends are known, then the geometric middle."""
    if high == MOST_PER_S:
        return min(2 * low, math.sqrt(low * high))
    if low == LEAST_PER_S:
        return max(high / 2, math.sqrt(low * high))
    return math.sqrt(low * high)
