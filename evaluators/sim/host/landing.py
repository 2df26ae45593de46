"""The plain engine where KV of a running request may still be on its way to it."""

from evaluators.sim.plain.stepwise import PlainEngine


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
        return self._await(limit) if self._lands_ps() else super()._stand(limit)

    def _wait(self, limit: int) -> bool:
        return self._await(limit) if self._lands_ps() else super()._wait(limit)

    def _await(self, limit: int) -> bool:
        """Nothing runs before a copy lands, or something else happens."""
        event = self.next_event_ps()
        assert event is not None
        if event <= limit:
            self.progress.spend(1, 0)
        self.now_ps = max(self.now_ps, min(event, limit))
        return self.now_ps < limit
