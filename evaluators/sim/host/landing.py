"""The plain engine where KV of a running request may still be on its way to it."""

from evaluators.sim.plain.engine import PlainEngine


class LandingEngine(PlainEngine):
    """A plain engine in which the landing of a copy is an event."""

    def next_event_ps(self) -> int | None:
        """See ``PlainEngine``; the landing of a copy is an event, too."""
        event, landing = super().next_event_ps(), self._lands_ps()
        if event is None or landing is None:
            return landing if event is None else event
        return min(event, landing)

    def _lands_ps(self) -> int | None:
        """When the next copy lands that a running request waits for."""
        landings = [r.ready_ps for r in self.running if r.ready_ps > self.now_ps]
        return min(landings, default=None)

    def _stand(self, limit: int) -> bool:
        landing = self._lands_ps()
        if landing is None:
            return super()._stand(limit)
        event = self.next_event_ps()
        assert event is not None
        self.now_ps = max(self.now_ps, min(event, limit))
        return self.now_ps < limit
