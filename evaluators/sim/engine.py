"""Serves a scenario on one engine, by whichever serves it fastest and exactly."""

from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.cache.valued import memory
from evaluators.sim.compiled.coverage import covers, pays, shows_what_is_coming
from evaluators.sim.compiled.serve import serve
from evaluators.sim.fast import FastEngine
from evaluators.sim.hooks import Policy
from evaluators.sim.host.engine import simulate_with_host
from evaluators.sim.overlapped import OverlappedFastEngine
from evaluators.sim.plain.engine import plain_engine
from evaluators.sim.plain.stepwise import PlainEngine
from evaluators.sim.run import Run


def simulate(scenario: Scenario, policy: object, *, eviction: object = None) -> Run:
    """Serve a scenario; ``policy`` may lack any hook, or be None.

    ``eviction`` says which cached blocks go first; for None the engine's own order.

    Equal to ``simulate_plainly`` on every request, to the picosecond, and faster by an
    order of magnitude. Whole plans and policies asked in every iteration take the plain
    path. Raises ``PolicyError`` for a policy's fault.
    """
    if scenario.deployment.host_memory:
        return simulate_with_host(scenario, policy, eviction=eviction)
    if eviction is None and pays(scenario) and covers(scenario, policy):
        return serve(scenario)
    engine = engine_for(scenario, Policy(policy), kv_cache(scenario, eviction))
    engine.serve(Arrivals(scenario))
    return engine.result()


def engine_for(
    scenario: Scenario, policy: Policy, cache: Cache | None
) -> FastEngine | PlainEngine:
    """The engine that goes from event to event, or a plain one where that is wrong."""
    ahead = scenario.deployment.async_scheduling
    # An eviction policy is shown what continues a block, be it only coming.
    shows = shows_what_is_coming(scenario) or (cache and cache.decides)
    if policy.schedule or policy.ask == 0 or (ahead and shows):
        return plain_engine(scenario, policy, cache, skips=policy.ask != 0)
    if ahead:
        return OverlappedFastEngine(scenario, policy, cache)
    return FastEngine(scenario, policy, cache=cache)


def kv_cache(scenario: Scenario, eviction: object = None) -> Cache | None:
    """Memory of an engine that keeps blocks for later requests; None if it does not."""
    return memory(scenario, eviction) if scenario.deployment.prefix_caching else None
