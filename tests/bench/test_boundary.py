"""What the process boundary costs: python -m pytest -m bench -s tests/bench."""

import os
import statistics
import time

import numpy as np
import pytest

from adrs import sandbox
from adrs.pool import Pool
from adrs.remote import Conversation, RemotePolicy
from adrs.sandbox import Limits
from adrs.zygote import Zygote
from evaluators.load import load_policy
from evaluators.sim.hooks import HOOKS
from evaluators.views import TENANT_COLUMNS, Engine, Table, Waiting
from tests.sandbox_problem import FACTS, HONEST, PROBLEM, exam

pytestmark = pytest.mark.bench
LIMITS = Limits(cpu_s=60, wall_s=240, memory_bytes=1 << 28)
TRIVIAL = """
class Trivial:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens
"""
TENANTS = np.zeros((len(TENANT_COLUMNS), 4), dtype=np.int64)


@pytest.fixture(autouse=True)
def one_core():
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(usable)})
    yield
    os.sched_setaffinity(0, usable)


def median_us(policy, rows, questions=4000):
    """Median time of a question about ``rows`` requests, one of them changed."""
    table, scalars = Table(rows), np.zeros(7)
    table.changed.extend(range(rows))
    taken = []
    for i in range(questions):
        table.changed.append(i % rows)
        start = time.perf_counter()
        engine = Engine(FACTS, scalars, TENANTS)
        policy.admit_key(Waiting(table, np.arange(rows)), engine)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


@pytest.mark.parametrize("rows", [8, 64, 512, 4096])
def test_a_question_across_the_boundary_costs_tens_of_microseconds(rows):
    here = median_us(load_policy(TRIVIAL, HOOKS), rows)
    zygote = Zygote()
    with zygote.forked(LIMITS) as process:
        policy = RemotePolicy(Conversation(process, LIMITS), TRIVIAL, HOOKS)
        there = median_us(policy, rows)
        zygote.reap(process)
    zygote.close()
    print(f"\n{rows} rows: {here:.1f} us in process, {there:.1f} us isolated")
    assert there < here + 250


def test_a_process_answers_within_milliseconds_of_its_fork():
    tiny = exam(1)
    taken = []
    for _ in range(200):
        start = time.perf_counter()
        assert sandbox.evaluate(PROBLEM, HONEST, tiny, LIMITS).failure is None
        taken.append((time.perf_counter() - start) * 1e3)
    sandbox.close_zygote()
    middle, slow = statistics.median(taken), sorted(taken)[189]
    print(f"\nfork to result: median {middle:.1f} ms, p95 {slow:.1f} ms")
    assert middle < 50


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pool_judges_tens_of_trivial_policies_a_second(workers):
    from tests.test_pool import EXAMS

    with Pool("scheduling", workers, "rlimits", LIMITS) as pool:
        list(pool.evaluate([HONEST] * workers, EXAMS[:1]))
        start = time.perf_counter()
        assert len(list(pool.evaluate([HONEST] * 200, EXAMS[:1]))) == 200
        rate = 200 / (time.perf_counter() - start)
    print(f"\n{workers} workers: {rate:.0f} policies a second, an exam each")
    assert rate > 10
