"""Serves a scenario under a policy."""

from evaluators.scenario import Scenario
from evaluators.sim.reference import simulate_plainly
from evaluators.sim.run import Run


def simulate(scenario: Scenario, policy: object) -> Run:
    """Serve a scenario; ``policy`` may lack any hook, or be None."""
    return simulate_plainly(scenario, policy)
