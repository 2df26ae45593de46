"""The engine, one step at a time over every request: slow, plain, and the oracle.

The fast engine must agree with it on every request to the picosecond. It also serves
what the fast engine's aggregates cannot: whole plans (level 2) and policies that ask to
be asked in every iteration.
"""

from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.cache.evict import Evictor
from evaluators.sim.cache.owners import Owners
from evaluators.sim.cache.plain import PlainCache
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.hooks import Policy
from evaluators.sim.plain.overlapped import OverlappedEngine
from evaluators.sim.plain.stepwise import PlainEngine
from evaluators.sim.run import Run


def simulate_plainly(
    scenario: Scenario,
    policy: object,
    *,
    eviction: object = None,
    skips: bool = False,
) -> Run:
    """Serve a scenario step by step; ``policy`` may lack any hook, or be None.

    Semantics of vLLM 0.32's scheduler: running requests first and in running order,
    then waiting ones until one does not fit; chunked prefill; preemption of the last by
    recomputation; no admission in a step that preempted. With ``skips``, decode-only
    steps that are all alike are taken at once. Raises ``PolicyError`` for a policy's
    fault.
    """
    cache = plain_cache(scenario, eviction)
    engine = plain_engine(scenario, Policy(policy), cache, skips=skips)
    engine.serve(Arrivals(scenario))
    return engine.result()


def plain_engine(
    scenario: Scenario, policy: Policy, cache: Cache | None, *, skips: bool
) -> PlainEngine:
    """The plain engine that decides steps when the deployment says."""
    if scenario.deployment.async_scheduling:
        return OverlappedEngine(scenario, policy, cache=cache)
    return PlainEngine(scenario, policy, cache=cache, skips=skips)


def plain_cache(scenario: Scenario, eviction: object = None) -> Cache | None:
    """Memory of an engine that keeps blocks for later requests; None if it does not."""
    deployment, trace = scenario.deployment, scenario.trace
    if not deployment.prefix_caching:
        return None
    evictor = Evictor(eviction, Owners(scenario))
    return PlainCache(deployment, trace.prefixes, len(trace), evictor)
