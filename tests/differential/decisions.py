"""What an engine decided, step by step, and where two engines part."""

from typing import Any

from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.cache.evict import Evictor
from evaluators.sim.cache.owners import Owners
from evaluators.sim.cache.plain import Block, PlainCache
from evaluators.sim.cache.valued import memory
from evaluators.sim.engine import engine_for
from evaluators.sim.fast import FastEngine
from evaluators.sim.hooks import Policy
from evaluators.sim.plain.overlapped import OverlappedEngine
from evaluators.sim.plain.stepwise import PlainEngine
from evaluators.sim.progress import Progress
from evaluators.sim.run import Decision, Run
from tests.sim.cached import Late

FIELDS = (
    "at_ps",
    "begins_ps",
    "ends_ps",
    "work",
    "preempted",
    "preempted_ps",
    "admitted",
    "evicted",
    "finished",
)
"""Of a step: when it is decided, begins and ends; (row, tokens) in running order; rows
in the order of their preemption, and when; (row, tokens found in memory) in the order
of admission; contents evicted, in order; rows that finish at its end."""

Steps = list[dict[str, Any]]


class WatchedCache(PlainCache):
    """The plain cache, noting what it evicts."""

    def __init__(self, scenario: Scenario, eviction: object) -> None:
        trace, evictor = scenario.trace, Evictor(eviction, Owners(scenario))
        super().__init__(scenario.deployment, trace.prefixes, len(trace), evictor)
        self.scenario = scenario
        self.evicted: list[int] = []

    def _victim(self, now_ps: int) -> Block:
        block = super()._victim(now_ps)
        assert block.content is not None
        self.evicted.append(block.content)
        return block


class LateCache(Late, WatchedCache):
    """The same where outputs are found only when their request has left."""


class Watching:
    """Notes the decisions of a plain engine step by step, as the driver does."""

    def __init__(
        self,
        scenario: Scenario,
        policy: object,
        eviction: object,
        cache: type[WatchedCache] = WatchedCache,
    ) -> None:
        caches = scenario.deployment.prefix_caching
        self.watched = cache(scenario, eviction) if caches else None
        super().__init__(scenario, Policy(policy), cache=self.watched)
        self.progress = Progress(scenario, is_led=False)  # vLLM ends no policy
        self.noted: Steps = []
        self._n_decisions = 0

    def note(self, work) -> dict[str, Any]:
        """What was decided since the last step, and for whom."""
        decisions = self.record.decisions[self._n_decisions :]
        self._n_decisions += len(decisions)
        admitted = {d.row for d in decisions if d.kind == "admit"}
        preempted = [d for d in decisions if d.kind == "preempt"]
        evicted = self.watched.evicted if self.watched else []
        if self.watched:
            self.watched.evicted = []
        return {
            "at_ps": self.now_ps,
            "begins_ps": self.now_ps,
            "work": [[request.row, tokens] for request, tokens in work],
            "preempted": [d.row for d in preempted],
            "preempted_ps": [d.at_ps for d in preempted],
            "admitted": [[r.row, r.computed] for r, _ in work if r.row in admitted],
            "evicted": evicted,
        }


class Watched(Watching, PlainEngine):
    """The plain engine that decides a step when the one before has ended."""

    def _compute(self, work, ends_ps: int) -> None:
        note = self.note(work)
        super()._compute(work, ends_ps)
        finished = [r.row for r, _ in work if r.generated == r.output]
        self.noted.append(note | {"ends_ps": self.now_ps, "finished": finished})


class WatchedOverlapped(Watching, OverlappedEngine):
    """The plain engine that decides a step when the one before begins."""

    n_ended = 0

    def _decided(self, work):
        if work:
            self.noted.append(self.note(work))
        return super()._decided(work)

    def _end_step(self, flight, limit: int) -> bool:
        began_ps = self._began_ps
        ended = super()._end_step(flight, limit)
        note = self.noted[self.n_ended]
        self.n_ended += 1
        note["begins_ps"], note["ends_ps"] = began_ps, self.now_ps
        done = [grant.request for grant in flight.grants]
        note["finished"] = [r.row for r in done if r.generated == r.output]
        return ended


class FoundEarly(WatchedOverlapped):
    """Wrong: what a token fills is found when its step is decided, be it to come."""

    def _filled(self, request, tokens: int) -> int:
        return tokens


def ours(
    scenario: Scenario,
    policy: object,
    eviction: object = None,
    cache: type[WatchedCache] = WatchedCache,
    kind: type[Watching] | None = None,
) -> Steps:
    """Decisions of our plain engine."""
    ahead = scenario.deployment.async_scheduling
    kind = kind or (WatchedOverlapped if ahead else Watched)
    engine = kind(scenario, policy, eviction, cache)
    engine.serve(Arrivals(scenario))
    return engine.noted


def fast(scenario: Scenario, policy: object, eviction: object = None) -> Run:
    """What the fast engine made of it."""
    cache = memory(scenario, eviction) if scenario.deployment.prefix_caching else None
    engine = engine_for(scenario, Policy(policy), cache)
    served = engine._running if isinstance(engine, FastEngine) else engine
    served.progress = Progress(scenario, is_led=False)
    engine.serve(Arrivals(scenario))
    return engine.result()


def happened(steps: Steps) -> tuple[list[Decision], dict[int, int], dict[int, int]]:
    """Decisions in order; when each row finished; tokens that each found in memory."""
    decisions, ends, found = [], {}, {}
    for step in steps:
        at_ps = step["at_ps"]
        preempted = zip(step["preempted_ps"], step["preempted"], strict=True)
        decisions += [Decision(at, "preempt", row) for at, row in preempted]
        for row, tokens in step["admitted"]:
            decisions.append(Decision(at_ps, "admit", row))
            found[row] = found.get(row, 0) + tokens
        ends |= dict.fromkeys(step["finished"], step["ends_ps"])
    return sorted(decisions), ends, found


def first_difference(one: Steps, other: Steps) -> tuple[int, Any, Any] | None:
    """Number of the first step that is not the same, and what each did; or None."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        apart = [name for name in FIELDS if a[name] != b[name]]
        if apart:
            return number, {n: a[n] for n in apart}, {n: b[n] for n in apart}
    if len(one) != len(other):
        return min(len(one), len(other)), len(one), len(other)
    return None


def total(steps: Steps, field: str) -> int:
    """How often something happened in all."""
    return sum(len(step[field]) for step in steps)
