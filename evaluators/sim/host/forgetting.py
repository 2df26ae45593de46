"""GPU memory with prefix caching that says which contents it no longer has."""

from collections.abc import Callable

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import PrefixCache
from evaluators.sim.cache.valued import ValuedCache, parts

Gone = Callable[[int], None]
"""Told of a content when no block in memory holds it any more."""


class Forgetting(PrefixCache):
    """Memory that tells ``gone``, by itself in the engine's own order."""

    gone: Gone | None = None

    def drop(self, block: int) -> None:
        """See ``PrefixCache``."""
        content = self.content[block]
        super().drop(block)
        if self.gone and not self.copies(content):
            self.gone(content)


class ForgettingValued(Forgetting, ValuedCache):
    """Memory under a policy that tells ``gone``."""


def forgetting(scenario: Scenario, eviction: object) -> Forgetting:
    """An empty memory for one engine; ``eviction`` may be None, or value no blocks."""
    contents, evictor = parts(scenario, eviction)
    if evictor.decides:
        return ForgettingValued(scenario.deployment, contents, evictor)
    return Forgetting(scenario.deployment, contents)
