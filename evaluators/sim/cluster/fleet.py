"""Serves a scenario by a fleet: routed by a policy, by a rule, or as a list says."""

from collections.abc import Sequence

from evaluators.scenario import Scenario
from evaluators.sim.cluster.cluster import Cluster
from evaluators.sim.cluster.replica import Make
from evaluators.sim.cluster.routing import Assigned, RoutingPolicy, built_in
from evaluators.sim.run import Run


def simulate_fleet(scenario: Scenario, policy: object, make: Make) -> Run:
    """Serve a scenario by its fleet, routed by ``policy`` or by the fleet's own rule.

    Raises ``PolicyError`` for a policy's fault.
    """
    assert scenario.fleet is not None, "a scenario without a fleet"
    cluster = Cluster(scenario, RoutingPolicy(policy), make, built_in(scenario.fleet))
    cluster.serve()
    return cluster.result()


def simulate_assigned(scenario: Scenario, replica: Sequence[int], make: Make) -> Run:
    """Serve a scenario by its fleet, each request on the replica that a list says."""
    cluster = Cluster(scenario, RoutingPolicy(None), make, Assigned(replica))
    cluster.serve()
    return cluster.result()
