"""Engines with host memory of their own as members of a fleet.

A request that leaves a replica, or is lost with it, leaves nothing of its own in that
replica's host memory; what a prefix cache keeps there stays until the replica is lost.
What a router knows of caches is the GPU's part.
"""

from evaluators.companions import companion
from evaluators.scenario import Scenario
from evaluators.sim.cluster.replica import Carried, Load, Replica
from evaluators.sim.cluster.stepping import PlainReplica
from evaluators.sim.hooks import Policy
from evaluators.sim.host.caching import CachingEngine
from evaluators.sim.host.engine import SwappingEngine
from evaluators.sim.host.forgetting import forgetting
from evaluators.sim.host.landing import LandingEngine
from evaluators.sim.ledger import Ledger


def host_replica(scenario: Scenario, policy: Policy, ledger: Ledger) -> Replica:
    """The engine with host memory that the deployment needs."""
    if scenario.deployment.prefix_caching:
        cache = forgetting(scenario, companion(scenario, "eviction"))
        return CachingReplica(scenario, policy, ledger, cache)
    return SwappingReplica(scenario, policy, ledger)


class _LandingReplica(LandingEngine, PlainReplica):
    """KV that is on its way to the GPU cannot go to another replica before."""

    def decoding(self) -> list[Carried]:
        """See ``Replica``."""
        rows = [r.row for r in self.running if r.decoding and r.ready_ps <= self.now_ps]
        return [self._carried(self.requests[row]) for row in rows]

    def how_far(self, row: int) -> Carried | None:
        """See ``Replica``."""
        if self.requests[row].ready_ps > self.now_ps:
            return None
        return super().how_far(row)


class SwappingReplica(SwappingEngine, _LandingReplica):
    """Keeps the KV of its preempted requests in host memory."""

    @property
    def load(self) -> Load:
        """See ``Replica``; what is in the host need not be computed."""
        load = super().load
        held = sum(self.swap.holds(request.row) for request in self.waiting)
        return load._replace(queued_tokens=load.queued_tokens - held)

    def abandon(self) -> list[Carried]:
        """See ``Replica``."""
        self.swap.lose()
        return super().abandon()


class CachingReplica(CachingEngine, _LandingReplica):
    """Keeps what its prefix cache evicts in host memory."""
