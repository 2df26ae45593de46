"""What the process boundary costs: python -m pytest -m bench -s tests/bench.

Each figure is a median with the spread of its rounds. On a busy machine look at those
that neighbours change least: ping-pongs of two bare processes on the same core, and
decisions a second of CPU time, which is what a free core would take.
"""

import os
import socket
import statistics
import time
from itertools import pairwise

import numpy as np
import pytest

from adrs import sandbox
from adrs.conversation import Conversation
from adrs.pool import Pool, cores
from adrs.remote import RemotePolicy
from adrs.sandbox import Limits
from adrs.workers import executor, shut_down
from adrs.zygote import same_addresses
from evaluators.load import load_policy
from evaluators.sim.hooks import HOOKS, Policy
from evaluators.views import Engine, Table, Waiting
from tests.sandbox_problem import FACTS, HONEST, PROBLEM, exam
from tests.test_pool import scheduling_exam

pytestmark = pytest.mark.bench
LIMITS = Limits(cpu_s=60, wall_s=240, memory_bytes=1 << 28)
AGED = """
class AgedShortestPrompt:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens - 400.0 * (engine.now_s - waiting.arrived_s)
"""
REALISTIC, TINY = 70, 2
"""Rows of a waiting view: the mean at twice the arrivals with tight memory, and the
least that is worth a question."""
SCENARIOS, QUESTIONS, ROUNDS = 16, 4000, 5


def told(values, form=",.0f"):
    """Median and spread of some rounds, as printed."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def ping_pong_us(times=3000):
    """Median round trip of 16 bytes between two processes on this core."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if process == 0:
        ours.close()
        while message := theirs.recv(16):
            theirs.send(message)
        os._exit(0)
    theirs.close()
    stamps = [time.perf_counter()]
    for _ in range(times):
        ours.send(bytes(16))
        ours.recv(16)
        stamps.append(time.perf_counter())
    ours.close()
    os.waitpid(process, 0)
    return median_us(stamps)


def median_us(stamps):
    """Median time between two stamps in a row."""
    return 1e6 * statistics.median(after - before for before, after in pairwise(stamps))


def ask(policy, rows):
    """Median us of a question about so many waiting requests, one of them changed."""
    checked, table, waiting = Policy(policy), Table(rows), list(range(rows))
    table.changed.extend(waiting)
    tenants = [[0] * 4] * 4
    stamps = [time.perf_counter()]
    for i in range(QUESTIONS):
        table.changed.append(i % rows)
        scalars = np.array([i, 5.0, rows, rows, 0.0, 0.0, 0.1])
        engine = Engine(FACTS, scalars, np.array(tenants))
        checked.admission(Waiting(table, np.array(waiting)), engine)
        stamps.append(time.perf_counter())
    return median_us(stamps)


def ask_isolated(rows):
    """The same of a policy in a process of its own; and CPU seconds of both."""
    before_s = time.process_time()
    zygote = sandbox._zygote()
    with zygote.forked(LIMITS) as process:
        policy = RemotePolicy(Conversation(process, LIMITS), AGED, HOOKS)
        taken_us = ask(policy, rows)
        ending = zygote.reap(process)
    return taken_us, time.process_time() - before_s + ending.cpu_s


def costs_us(rows):
    """A ping-pong, a question in process and one across the boundary."""
    here = ask(load_policy(AGED, HOOKS), rows)
    return ping_pong_us(), here, ask_isolated(rows)[0]


def fork_to_result_ms(times):
    """Milliseconds of judging the smallest exam, each in a process of its own."""
    tiny, taken = exam(1), []
    for _ in range(times):
        start = time.perf_counter()
        assert sandbox.evaluate(PROBLEM, HONEST, tiny, LIMITS).failure is None
        taken.append((time.perf_counter() - start) * 1e3)
    return taken


@pytest.fixture
def workers(request):
    """A pool's workers, as many as asked for, each warm and on its core."""
    with same_addresses():
        made = executor(request.param)
        list(made.map(ask_isolated, [TINY] * 4 * request.param))
        yield made
    shut_down(made)


on_one_core = pytest.mark.parametrize("workers", [1], indirect=True)


@pytest.mark.parametrize(
    ("workers", "scenarios"),
    [(1, 1), (cores(), SCENARIOS)],
    indirect=["workers"],
    ids=["one scenario", f"{SCENARIOS} scenarios"],
)
@pytest.mark.parametrize("rows", [REALISTIC, TINY])
def test_tens_of_thousands_of_decisions_a_second_cross(workers, scenarios, rows):
    rates, free = [], []
    used = min(scenarios, cores())
    for _ in range(ROUNDS):
        start = time.perf_counter()
        cpu_s = sum(cpu for _, cpu in workers.map(ask_isolated, [rows] * scenarios))
        rates.append(scenarios * QUESTIONS / (time.perf_counter() - start))
        free.append(scenarios * QUESTIONS * used / cpu_s)
    print(
        f"\n{rows} rows, {scenarios} scenarios: {told(rates)} decisions/s, "
        f"{told(free)} in {used} CPU s"
    )
    assert statistics.median(rates) > 2000


@on_one_core
@pytest.mark.parametrize("rows", [TINY, REALISTIC, 500, 4000])
def test_a_question_costs_a_few_ping_pongs(workers, rows):
    rounds = list(workers.map(costs_us, [rows] * ROUNDS))
    bare, here, there = zip(*rounds, strict=True)
    ratio = statistics.median(map(lambda b, h, t: (t - h) / b, bare, here, there))
    print(
        f"\n{rows} rows: {told(here, '.1f')} us in process, {told(there, '.1f')} us "
        f"isolated: {ratio:.1f} ping-pongs of {told(bare, '.1f')} us more"
    )
    assert ratio < 12


@on_one_core
def test_a_process_answers_within_milliseconds_of_its_fork(workers):
    taken = workers.submit(fork_to_result_ms, 200).result()
    print(f"\nfork to result: {told(taken, '.1f')} ms, p95 {sorted(taken)[189]:.1f} ms")
    assert statistics.median(taken) < 50


@pytest.mark.parametrize("requests", [4, 20])
@pytest.mark.parametrize("workers", [1, cores()])
def test_a_pool_judges_a_hundred_trivial_policies_a_second_and_core(workers, requests):
    rates, taken = [], scheduling_exam(requests)
    with Pool("scheduling", workers, "strict", LIMITS) as judges:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            judged = list(judges.evaluate([HONEST] * 100, [taken]))
            rates.append(len(judged) / (time.perf_counter() - start))
    questions = judged[0].outcomes[0].metrics["questions"]
    print(
        f"\n{workers} workers: {told(rates)} policies/s, an exam of {requests} requests"
        f" and {questions:g} questions each"
    )
    assert statistics.median(rates) > 10
