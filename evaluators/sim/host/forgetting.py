"""GPU memory with prefix caching that says which contents it no longer has."""

from collections.abc import Callable

from evaluators.scenario import Scenario
from evaluators.sim.cache.contents import Contents
from evaluators.sim.cache.evict import Evictor
from evaluators.sim.cache.owners import Owners
from evaluators.sim.cache.prefix_cache import PrefixCache
from evaluators.sim.cache.valued import ValuedCache

Gone = Callable[[int], None]
"""Told of a content when no block in memory holds it any more."""


class Forgetting(PrefixCache):
    """Memory in the engine's own order that tells ``gone``."""

    gone: Gone | None = None

    def drop(self, block: int) -> None:
        """See ``PrefixCache``."""
        content = self.content[block]
        super().drop(block)
        if self.gone and not self.copies(content):
            self.gone(content)


class ForgettingValued(ValuedCache):
    """Memory under a policy that tells ``gone``."""

    gone: Gone | None = None

    def drop(self, block: int) -> None:
        """See ``PrefixCache``."""
        content = self.content[block]
        super().drop(block)
        if self.gone and not self.copies(content):
            self.gone(content)


def forgetting(scenario: Scenario, eviction: object) -> Forgetting | ForgettingValued:
    """An empty memory for one engine; ``eviction`` may be None, or value no blocks."""
    deployment, trace = scenario.deployment, scenario.trace
    contents = Contents(trace.prefixes, len(trace), deployment.block_tokens)
    evictor = Evictor(eviction, Owners(scenario))
    if evictor.decides:
        return ForgettingValued(deployment, contents, evictor)
    return Forgetting(deployment, contents)
