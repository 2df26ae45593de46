"""Which scenarios the compiled core can serve, and in what range of numbers."""

import sys
from dataclasses import MISSING, fields
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from evaluators.calibration.step_time import entry
from evaluators.fleet import Fleet, Member
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cache.sought import sought_tokens
from evaluators.sim.compiled.state import MOST_PS
from evaluators.workloads.trace import COLUMNS, Trace

Part = Scenario | Deployment | Trace | Fleet

KNOWN: dict[type, set[str]] = {
    Scenario: {
        "name",
        "split",
        "regime",
        "trace",
        "deployment",
        "step_time",
        "classes",
        "calibration",
        "prediction_error",
        "n_tenants",
        "fleet",
        "id_key",
    },
    Deployment: {
        "name",
        "kv_blocks",
        "block_tokens",
        "max_running",
        "max_step_tokens",
        "reserve_full_prompt",
        "prefix_caching",
        "parents_outlive_children",
        "async_scheduling",
    },
    Trace: {*COLUMNS, "prefixes", "priorities", "sessions"},
    Fleet: {
        "members",
        "report_delay_s",
        "probe_s",
        "rule",
        "wire",
        "kv_bytes",
        "contiguous",
        "cache_reports",
    },
}
"""What the core serves, or what cannot matter to built-in rules, by class. All else
must be at its default."""

CORE = "evaluators.sim.compiled.core"
WORTHWHILE = 25_000
"""Requests that the engine takes as long for as numba needs to be loaded."""


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Whether numba can be imported."""
    return find_spec("numba") is not None


def covers(scenario: Scenario, policy: object) -> bool:
    """Whether ``serve`` can: numba is there, and nothing is asked that it lacks."""
    built_in = policy is None or type(policy) is object
    known = is_known(scenario) and not shows_what_is_coming(scenario)
    return built_in and is_installed() and known and is_in_range(scenario)


def shows_what_is_coming(scenario: Scenario) -> bool:
    """Whether somebody may find an output while it comes, and steps are decided ahead.

    Then it matters when the block that a coming token fills can be found, which only
    the plain engine knows.
    """
    deployment, trace = scenario.deployment, scenario.trace
    if not (deployment.async_scheduling and deployment.prefix_caching):
        return False
    return bool(np.any(sought_tokens(trace) > trace.prompt_tokens))


def pays(scenario: Scenario) -> bool:
    """Whether ``serve`` takes less time than the engine, its start included."""
    return CORE in sys.modules or len(scenario.trace) >= WORTHWHILE


def is_known(scenario: Scenario) -> bool:
    """Whether the core knows everything that the scenario asks for."""
    parts: list[tuple[Part, set[str]]] = [
        (scenario, KNOWN[Scenario]),
        (scenario.deployment, KNOWN[Deployment]),
        (scenario.trace, KNOWN[Trace]),
    ]
    if scenario.fleet is not None:
        member = Member(scenario.deployment, scenario.step_time)
        if any(each != member for each in scenario.fleet.members):
            return False
        parts.append((scenario.fleet, KNOWN[Fleet]))
    return all(_is_default(part, known) for part, known in parts)


def _is_default(value: Part, known: set[str]) -> bool:
    return all(
        getattr(value, field.name) == _default(field)
        for field in fields(value)
        if field.name not in known
    )


def _default(field: Any) -> object:  # noqa: ANN401 - a dataclass field of anything
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def is_in_range(scenario: Scenario) -> bool:
    """Whether no time or sum can leave 64 bits, but for a simulation of 53 days."""
    trace = scenario.trace
    largest = [longest_step_ps(scenario), int(trace.arrived_ps[-1])]
    if trace.sessions is not None:
        largest.append(int(trace.sessions.wait_ps.max()))
    if trace.prefixes is not None and scenario.deployment.prefix_caching:
        size, own = trace.prefixes.block_tokens, scenario.deployment.block_tokens
        if size % own:
            return False
        largest.append(int(trace.prefixes.ids.max(initial=0) + 1) * (size // own))
    return max(largest) < MOST_PS


def longest_step_ps(scenario: Scenario) -> int:
    """No step of a scenario takes longer."""
    step_time, deployment = scenario.step_time, scenario.deployment
    trace = scenario.trace
    longest = int((trace.prompt_tokens + trace.output_tokens).max())
    tokens, running = deployment.max_step_tokens, deployment.max_running
    contexts, slowest = running * longest, 0
    parts = [(step_time.tokens_ps, 1), (step_time.decodes_ps, 1)]
    parts += [(table, contexts) for table in step_time.context_ps]
    for table, times in parts:
        slowest += max(*table, entry(table, tokens + running)) * times
    work = tokens * (tokens + 2 * longest)
    slowest += step_time.prefill_token_ps * tokens + step_time.prefill_work_ps * work
    slowest += step_time.prefill_ps * running
    slowest += step_time.prefill_context_ps * contexts
    slowest += step_time.beside_decode_ps * running
    slowest += step_time.beside_context_ps * contexts
    return slowest + step_time.longest_context_ps * longest + work + contexts
