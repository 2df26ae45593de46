"""A running set whose next step is decided before the last one has ended.

The engine by aggregates takes a step at once and decides the next one afterwards, but
as of the moment when that step began: arrivals, what a policy is shown, and who holds
memory are as of then. What the plain engine does in the order of time
(``plain/overlapped.py``), this does in the order of steps.
"""

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.ledger import Ledger
from evaluators.sim.panel import Panel
from evaluators.sim.running import RunningSet
from evaluators.sim.step import Coming, Step

NOTHING = Step([], [])


class OverlappedRunningSet(RunningSet):
    """A running set that can be looked at as of the beginning of its last step.

    Between ``look_back`` and ``look_up``, ``now_ps`` is that moment, and ``coming``
    says what the step brings. Who finished in it stays in ``rows``, without anything to
    compute, until ``release_ended``.
    """

    def __init__(
        self,
        scenario: Scenario,
        panel: Panel,
        ledger: Ledger,
        cache: Cache | None,
        *,
        is_led: bool,
    ) -> None:
        super().__init__(scenario, panel, ledger, cache, is_led=is_led)
        self.lingering: dict[int, None] = {}
        self.began_ps: int | None = None
        self._ended_ps = self._step_before_ps = 0
        self._earlier: dict[int, int] = {}
        self._chunks: list[tuple[int, int]] = []
        self._was_late = False
        self._filled: int | None = None

    def look_back(self) -> None:
        """What is decided next is decided as of the beginning of the last step."""
        self._ended_ps = self.now_ps
        if self.began_ps is not None:
            self.now_ps = self.began_ps
            self.coming = Coming(
                self.began_ps, self._step_before_ps, self._chunks, self._earlier
            )

    def look_up(self) -> None:
        """The next step is decided."""
        self._was_late, self.coming = self.coming is not None, None
        self.now_ps = self._ended_ps

    def release_ended(self) -> None:
        """Who had the last token in the last step lets go of its place and memory."""
        for row in self.lingering:
            del self.rows[row]
            self.tenants.finish(row)
            self._release(row)
        self.lingering = {}

    def compute(self, step: Step, duration: int) -> bool:
        """See ``RunningSet``."""
        self._begin(self.now_ps, self.last_step_ps, step)
        return super().compute(step, duration)

    def skip(self, steps: int, durations: tuple[int, int]) -> bool:
        """See ``RunningSet``."""
        first, growth = durations
        before_ps = self.last_step_ps
        self._was_late |= steps > 1
        if steps > 1:
            before_ps = first + growth * (steps - 2)
        self._begin(0, before_ps, NOTHING)
        changed = super().skip(steps, durations)
        self.began_ps = self.now_ps - self.last_step_ps
        return changed

    def preempt(self, row: int) -> None:
        """See ``RunningSet``; that of a request with all its tokens is its end."""
        known = self._known_tokens(row)
        if row not in self.lingering:
            self._filled = known
            super().preempt(row)
            self._filled = None
            return
        del self.lingering[row], self.rows[row]
        self.memory.release(row, self.computed[row], self.now_ps, known)
        self.tenants.finish(row)
        self.note_preemption(row)
        self.ledger.outlived.append(row)

    def _release(self, row: int) -> None:
        self.memory.release(row, self.computed[row], self.now_ps, self._filled)

    def stop_decoding(self, row: int) -> None:
        """See ``RunningSet``."""
        super().stop_decoding(row)
        if self.coming is not None:
            self.last_token_ps[row] = self._ended_ps

    def _known_tokens(self, row: int) -> int:
        """Tokens of a request whose blocks can be found, were it preempted now.

        Not the one that the last step computes, if it was decided when the token that
        it computes was itself still to come.
        """
        emits = self.decodes.finish[row] >= 0 or row in self.lingering
        follows = emits and row not in self._earlier and self._was_late
        return self.computed_tokens(row) - (follows and self.coming is not None)

    def _begin(self, began_ps: int, before_ps: int, step: Step) -> None:
        self.began_ps, self._step_before_ps = began_ps, before_ps
        self._chunks = step.chunks
        self._earlier = {}

    def _emit(self, row: int, computed: int) -> bool:
        self._earlier[row] = self.last_token_ps[row]
        return super()._emit(row, computed)

    def _let_go(self) -> None:
        """Requests that ended with this step stay until the next one is decided."""
        ended = set(self._ended)
        self.lingering = dict.fromkeys(row for row in self.rows if row in ended)
        for row in self.lingering:
            self.ledger.finished_ps[row] = self.now_ps
        self.finished += self._ended
        self._ended = []
