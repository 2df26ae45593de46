"""Serves a scenario by its fleet in the fastest way that is exact."""

from evaluators.scenario import Scenario
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.compiled.coverage import covers, pays
from evaluators.sim.compiled.serve import serve
from evaluators.sim.run import Run


def serve_fleet(scenario: Scenario, router: object) -> Run:
    """Serve a scenario by its fleet, routed by a policy or (None) by its own rule.

    Raises ``PolicyError`` for a policy's fault.
    """
    if pays(scenario) and covers(scenario, router):
        return serve(scenario)
    return simulate_fleet(scenario, router, fast)
