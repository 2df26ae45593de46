"""vLLM 0.32's own block pool against both our caches, operation by operation.

Needs an environment of its own: see README.md in this folder.
"""

import random

import pytest

from evaluators.sim.cache.plain import PlainCache
from evaluators.sim.cache.valued import memory
from tests.differential.vllm_python import answers, needs_vllm
from tests.differential.vllm_side.job import Job, to_json
from tests.sim.cached import Case, Driver, drawn, plain_memory

pytestmark = [pytest.mark.slow, needs_vllm]
DRIVER = "tests.differential.vllm_side.pool_driver"

SEEDS = range(1000)


class Noted:
    """A cache, and each thing an engine did to it with what it showed then."""

    def __init__(self, cache) -> None:
        self.cache = cache
        self.operations: list[tuple[str, int, int]] = []
        self.shown: list[dict] = []
        self._evicted = 0

    @property
    def free(self) -> int:
        return self.cache.free

    @property
    def evictions(self) -> int:
        return self.cache.evictions

    @property
    def questions(self) -> int:
        return self.cache.questions

    def hits(self, row, goal):
        found = self.cache.hits(row, goal)
        self._note("hits", row, goal, tuple(found))
        return found

    def admit(self, row, n_hit, now_ps):
        self.cache.admit(row, n_hit, now_ps)

    def grow(self, row, n_blocks, now_ps):
        self.cache.grow(row, n_blocks, now_ps)

    def fill(self, row, tokens, now_ps):
        self.cache.fill(row, tokens, now_ps)
        self._note("allocate", row, tokens)

    def release(self, row, tokens, now_ps):
        self.cache.release(row, tokens, now_ps)
        self._note("release", row, tokens)

    def _note(self, name, row, tokens, found=(0, 0)) -> None:
        shown = {"found": list(found), "free": self.free}
        shown["evicted"] = self.evictions - self._evicted
        self._evicted = self.evictions
        if isinstance(self.cache, PlainCache):
            shown["queue"] = [block.content for block in self.cache.queue]
        self.operations.append((name, row, tokens))
        self.shown.append(shown)


class Use(Driver):
    """Random use in which everybody's blocks are filled when they are scheduled."""

    def __init__(self, case: Case, make) -> None:
        super().__init__(case, make)
        self.cache = Noted(self.cache)

    def all(self, row: int) -> None:
        for running in list(self.tokens):
            self.decode(running)


def used(case: Case, make=plain_memory) -> Noted:
    use = Use(case, make)
    use.run()
    return use.cache


def message(case: Case) -> dict:
    operations = used(case).operations
    return to_json(Job(case.scenario, "")) | {"operations": operations}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [drawn(random.Random(seed)) for seed in SEEDS]


@pytest.fixture(scope="module")
def theirs(cases, tmp_path_factory) -> list[list[dict]]:
    folder = tmp_path_factory.mktemp("pool")
    said = answers(DRIVER, map(message, cases), folder)
    return [[one | {"evicted": len(one["evicted"])} for one in shown] for shown in said]


def test_the_plain_cache_shows_what_vllms_pool_shows(cases, theirs):
    """What is found, what is free, and the free queue, from end to end."""
    evicted = found = 0
    for seed, (case, shown) in enumerate(zip(cases, theirs, strict=True)):
        evicted += sum(one["evicted"] for one in shown)
        found += sum(one["found"][0] for one in shown)
        assert used(case).shown == shown, seed
    assert evicted > 1000
    assert found > 10_000


def test_the_fast_cache_shows_what_vllms_pool_shows(cases, theirs):
    for seed, (case, shown) in enumerate(zip(cases, theirs, strict=True)):
        fast = [one | {"queue": None} for one in used(case, memory).shown]
        assert fast == [one | {"queue": None} for one in shown], seed


def test_the_comparison_notices_another_order_of_eviction(cases, theirs):
    class Newest(PlainCache):
        def _victim(self, now_ps):
            return self.queue[-1]

    def newest(scenario, eviction):
        trace = scenario.trace
        return Newest(scenario.deployment, trace.prefixes, len(trace))

    apart = sum(
        used(case, newest).shown != shown
        for case, shown in zip(cases[:100], theirs, strict=False)
    )
    assert apart > 50
