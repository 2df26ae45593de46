import gc
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adrs import sandbox
from adrs.conversation import Conversation
from adrs.decisions import Entry
from adrs.isolation import OPTIONAL_LAYERS
from adrs.pool import in_process
from adrs.remote import RemotePolicy
from adrs.sandbox import Limits
from adrs.zygote import ENVIRONMENT, NoProcessError, Zygote
from evaluators.confine import LAYERS
from evaluators.evaluation import Failure, PolicyError
from evaluators.load import IMPORTS
from evaluators.manners import Manner
from evaluators.problem import Hook
from evaluators.problems.scheduling import MANNERS
from evaluators.sim.hooks import HOOKS
from evaluators.views import Engine, Running, Table, Waiting
from evaluators.views_replicas import (
    REPLICA_FLOATS,
    REPLICA_INTS,
    REQUEST_FLOATS,
    REQUEST_INTS,
    Replicas,
    Request,
)
from tests.attacks.broken import NONSENSE, TEACHABLE
from tests.attacks.forge import LIES
from tests.attacks.resources import ENDS, FLOODS, HANGS
from tests.attacks.table import ANSWER, OS, SPIN, hook
from tests.sandbox_problem import FACTS, HONEST, PROBLEM, exam

LIMITS = Limits(cpu_s=0.3, wall_s=60, memory_bytes=1 << 26)
EXAM = exam()
EVERY_HOOK = """
import numpy as np


class EveryHook:
    ask = "iteration"

    def __init__(self):
        self.calls = 0

    def admit_key(self, waiting, engine):
        self.calls += 1
        return np.where(waiting.id % 3 == 0, np.inf, waiting.arrived_s / 7)[::1]

    def victim_key(self, running, engine):
        return running.computed_tokens + running.last_token_s * self.calls

    def token_budget(self, engine):
        return np.float32(engine.total_blocks / 3)

    def prompt_cap(self, engine):
        return int(engine.tenants.waiting.sum() + engine.classes.ttft_s.sum())
"""
LEVEL_TWO = """
class Plan:
    def schedule(self, waiting, running, engine):
        return [1] * len(waiting), running.blocks_held % 2 == 0
"""


WORST = HANGS | ENDS | FLOODS | LIES
"""Those of them with a guard are tried in `tests/test_attacks.py`."""
BASE = tuple(layer for layer in LAYERS if layer not in OPTIONAL_LAYERS)


def judged(source, limits=LIMITS, on=EXAM, layers=LAYERS):
    return sandbox.evaluate(PROBLEM, source, on, limits, layers)


def named(group):
    return pytest.mark.parametrize("attack", group.values(), ids=group)


def processes():
    """Every process with its parent and whether it is a zombie."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    return found


def below(ancestor):
    """Every descendant of a process."""
    family, parents = {ancestor}, processes()
    while more := {p for p, of in parents.items() if of in family} - family:
        family |= more
    return family - {ancestor}


def is_filtered(process):
    """Whether a process may no longer make all system calls."""
    return "Seccomp:\t2" in Path(f"/proc/{process}/status").read_text()


def wait_until(holds, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.01)


@pytest.fixture
def process():
    """A conversation with a policy process, and the process."""
    zygote = Zygote()
    with zygote.forked(LIMITS) as process:
        yield Conversation(process, LIMITS), process
    zygote.close()


@pytest.fixture
def connected(process):
    """Makes proxies of policies, all in one process."""
    return lambda source: RemotePolicy(process[0], source, HOOKS, MANNERS)


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


@pytest.fixture
def untouched():
    """After the test: the honest score is what it was, and nothing is left over."""
    before = judged(HONEST)
    ours, descriptors = below(os.getpid()), len(os.listdir("/proc/self/fd"))
    yield
    assert judged(HONEST) == before
    assert len(below(os.getpid())) == len(ours)
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("source", [HONEST, EVERY_HOOK, LEVEL_TWO])
def test_a_policy_scores_the_same_with_and_without_isolation(source):
    large = exam(rows=100)
    alone = in_process(PROBLEM, source, [EXAM, large]).outcomes
    isolated = judged(source), judged(source, on=large)
    # Only what crossed to a process is logged.
    assert tuple(replace(outcome, decisions="") for outcome in isolated) == alone
    assert all(outcome.score > 0 for outcome in alone)


def test_views_larger_than_a_packet_arrive_whole(connected):
    table, rows = Table(20_000), np.arange(20_000)
    table.ints[:], table.floats[:] = rows, rows / 3
    table.changed.extend(rows.tolist())
    policy = connected(hook("return waiting.arrived_s * 2 + waiting.id"))
    engine = Engine(FACTS, np.zeros(7), np.zeros((4, 3), dtype=np.int64))
    keys = policy.admit_key(Waiting(table, rows), engine)
    assert np.array_equal(keys, rows / 3 * 2 + rows)


def test_the_proxy_has_only_the_hooks_that_the_policy_has(connected):
    policy = connected(EVERY_HOOK)
    there = [hook.name for hook in HOOKS if hasattr(policy, hook.name)]
    assert there == ["admit_key", "victim_key", "token_budget", "prompt_cap"]
    assert policy.ask == "iteration"


ANY_KIND = (
    Hook("number", ("now_s",), "count", "", ""),
    Hook("order", ("waiting", "now_s"), "index", "", ""),
    Hook("moves", (), "pairs", "", ""),
    Hook("modes", ("running",), "modes", "", ""),
    Hook("hear", ("waiting",), "nothing", "", ""),
    Hook("place", ("request", "replicas"), "index", "", ""),
)
LISTENER = """
import numpy as np

class Listener:
    pace_s, style, is_calm = 2, "late", 1

    def __init__(self):
        self.heard = []

    def number(self, now_s):
        assert type(now_s) is float
        return now_s / 3 + sum(self.heard)

    def order(self, waiting, now_s):
        return [len(waiting), int(now_s)]

    def moves(self):
        return [(1, 2), (3, 4)]

    def modes(self, running):
        return running.blocks_held % 2

    def place(self, request, replicas):
        age_s = replicas.report_age_s
        assert not age_s.flags.writeable
        return np.argsort(replicas.queued_tokens * request.now_s + age_s)

    def hear(self, waiting):
        self.heard += waiting.prompt_tokens.tolist()
"""
PACE = Manner("pace_s", 1.0, has_number=True, expected="seconds")
STYLE = Manner("style", "early", words=("early", "late"), expected="early or late")
CALM = Manner("is_calm", default=False)


def table_of(rows):
    table = Table(rows)
    table.ints[:] = np.arange(rows)
    table.changed.extend(range(rows))
    return table


@pytest.fixture
def listener(process):
    conversation, _ = process
    manners = (PACE, STYLE, CALM)
    return RemotePolicy(conversation, LISTENER, ANY_KIND, manners)


def test_every_kind_of_answer_crosses_as_it_was_returned(listener):
    table, rows = table_of(5), np.arange(1, 5)
    own = (rows, rows, rows, rows / 7)
    assert listener.number(0.1) == 0.1 / 3
    assert listener.order(Waiting(table, rows), 7.5).tolist() == [4, 7]
    assert listener.moves().tolist() == [[1, 2], [3, 4]]
    assert listener.modes(Running(table, rows, own)).tolist() == [1, 0, 1, 0]


def test_a_view_that_stands_by_itself_crosses_as_it_is(listener):
    request = Request(np.arange(len(REQUEST_INTS)), np.full(len(REQUEST_FLOATS), -2.0))
    ints = np.tile(np.arange(3), (len(REPLICA_INTS), 1))
    floats = np.tile([0.0, 0.0, 7.0], (len(REPLICA_FLOATS), 1))
    order = listener.place(request, Replicas(ints, floats))
    assert order.tolist() == [1, 0, 2]


@pytest.mark.parametrize("now", [3, np.float64(3.0), None])
def test_a_number_that_is_no_plain_float_is_our_own_error(listener, now):
    with pytest.raises(TypeError, match="expected a view or a float"):
        listener.number(now)


def test_what_a_policy_is_told_reaches_it_before_the_next_question(listener):
    table = table_of(5)
    assert listener.hear(Waiting(table, np.array([2, 3]))) is None
    table.ints[:, 4] = 40
    table.changed.append(4)
    listener.hear(Waiting(table, np.array([4])))
    assert listener.number(0.0) == 45


def test_a_policy_fails_over_what_it_was_told_at_the_next_question(process):
    conversation, _ = process
    fails = LISTENER.replace("self.heard +=", "self.heard = 1 /")
    policy = RemotePolicy(conversation, fails, ANY_KIND)
    policy.hear(Waiting(table_of(5), np.array([1])))
    with pytest.raises(PolicyError, match="hear: line 29: TypeError"):
        policy.finish()


def test_a_policy_that_stops_listening_runs_into_its_wall_limit():
    limits, zygote = replace(LIMITS, wall_s=0.3), Zygote()
    sleeps = "import statistics; statistics.sys.modules['time'].sleep(600)  #"
    deaf = LISTENER.replace("self.heard +=", sleeps)
    with zygote.forked(limits) as process:
        policy = RemotePolicy(Conversation(process, limits), deaf, ANY_KIND)
        waiting = Waiting(table_of(1000), np.arange(1000))
        with pytest.raises(PolicyError, match="hear: no answer within"):
            for _ in range(1000):
                policy.hear(waiting)
    zygote.close()


def test_manners_arrive_as_words_numbers_and_flags(listener):
    assert (listener.pace_s, listener.style, listener.is_calm) == (2.0, "late", True)
    assert type(listener.pace_s) is float


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        (STYLE._replace(words=("early",)), "style is 'late'; expected early or late"),
        (PACE._replace(has_number=False), "pace_s is 2; expected seconds"),
    ],
)
def test_a_manner_that_is_neither_word_nor_number_is_refused(process, manner, says):
    with pytest.raises(PolicyError, match=says):
        RemotePolicy(process[0], LISTENER, ANY_KIND, [manner])


@named(TEACHABLE | NONSENSE)
def test_a_broken_policy_is_told_what_to_change(attack):
    failure = judged(attack.source).failure
    assert failure.kind == attack.kind
    assert attack.says in failure.message


@named(TEACHABLE)
def test_a_broken_policy_is_told_the_same_in_process(attack):
    failure = in_process(PROBLEM, attack.source, [EXAM]).failure
    assert failure.kind == attack.kind
    assert attack.says in failure.message


@named({name: one for name, one in WORST.items() if not one.guards})
def test_a_hostile_policy_fails_and_harms_nobody(attack, untouched):
    wall_s = 0.5 if attack.kind == "wall_limit" else LIMITS.wall_s
    outcome = judged(attack.source, replace(LIMITS, wall_s=wall_s))
    assert (outcome.failure.kind, outcome.score) == (attack.kind, 0.0)
    assert attack.says in outcome.failure.message


def test_a_forked_swarm_is_ended_with_the_policy(untouched):
    swarm = hook(
        OS,
        "for _ in range(4): os.fork()",
        "os.setsid() if os.getpid() != os.getsid(0) else None",
        "os.sys.modules['time'].sleep(600)",
    )
    # Only root may fork against its limit of processes.
    expected = "exception" if os.getuid() else "wall_limit"
    found = judged(swarm, replace(LIMITS, wall_s=0.5), layers=BASE)
    assert found.failure.kind == expected


def test_cpu_time_counts_in_fractions_and_over_all_questions():
    spin = "for _ in range(100_000): pass"
    slow = hook(*[spin] * 4, "return waiting.id")
    assert judged(slow, Limits(5, 20, 1 << 28), exam(60)).failure is None
    assert judged(slow, Limits(0.1, 20, 1 << 28), exam(60)).failure.kind == "cpu_limit"


def test_one_question_may_not_take_all_the_time_of_a_scenario():
    limits = Limits(5, 20, 1 << 28, question_cpu_s=0.2)
    failure = judged(hook(SPIN), limits).failure
    assert failure.kind == "cpu_limit"
    assert "0.2 s of CPU time on one question" in failure.message


def test_memory_is_counted_on_top_of_what_python_takes():
    takes = hook("self.kept = np.ones(3 << 20)", "return waiting.id")
    assert judged(takes, replace(LIMITS, memory_bytes=1 << 27)).failure is None
    small = judged(takes, replace(LIMITS, memory_bytes=1 << 24))
    assert small.failure.kind == "memory_limit"


def test_failures_read_the_same_every_time():
    raises = hook("raise ValueError(object())")
    assert judged(raises) == judged(raises)


def test_what_a_policy_may_import_is_there_though_no_file_can_be_read():
    uses = hook(
        "print('seen', waiting, 1 / 3)",
        "import statistics, numpy.ma, numpy.random, collections.abc",
        "from typing import get_type_hints",
        "draws = np.random.default_rng(0).normal(size=9), np.random.rand()",
        "np.linalg.svd(np.ones((90, 90)) @ np.ones((90, 90))), np.fft.fft(np.ones(9))",
        "np.polynomial.Polynomial([1, 2])(3), np.ma.masked_less(np.ones(3), 2).sum()",
        "np.ones(1) / np.zeros(1), np.char.upper(['a']), str(np.ones(3))",
        "np.lib.stride_tricks.sliding_window_view(np.ones(9), 3), np.rec.array([1])",
        "statistics.NormalDist().inv_cdf(0.3), 'é'.encode('latin-1')",
        "return waiting.id",
        head="\n".join(f"import {name}" for name in IMPORTS[:-1]),
    )
    assert judged(uses).failure is None


def test_what_is_not_there_is_an_honest_import_error():
    failure = judged(hook("import numpy.f2py")).failure
    assert failure.kind == "exception"
    assert "ModuleNotFoundError: No module named 'numpy.f2py'" in failure.message


def test_a_policy_has_one_thread_even_while_numpy_works(connected, process):
    policy = connected(hook("np.ones((300, 300)) @ np.ones((300, 300))", ANSWER))
    table = table_of(3)
    engine = Engine(FACTS, np.zeros(7), np.zeros((4, 3), dtype=np.int64))
    policy.admit_key(Waiting(table, np.arange(3)), engine)
    assert len(os.listdir(f"/proc/{process[1].id}/task")) == 1


def test_unseeded_draws_are_the_same_each_time():
    draws = hook("return np.random.rand(len(waiting))")
    assert judged(draws) == judged(draws)


def test_each_scenario_has_a_process_that_has_seen_no_other():
    remembers = hook(
        "np.seen = getattr(np, 'seen', 0) + 1",
        "if np.seen > len(waiting): raise ValueError('seen before')",
        "return waiting.id",
    )
    assert [judged(remembers).failure for _ in range(3)] == [None] * 3


def test_a_policy_finds_no_trace_no_environment_and_no_judge_in_its_process():
    looks = hook(
        OS,
        "raise ValueError(sorted(os.environ))",
    )
    assert f"ValueError: {sorted(ENVIRONMENT)}" in judged(looks).failure.message
    judge = hook(
        OS,
        "held = set(os.sys.modules) & {'evaluators.metrics', 'evaluators.sim.engine',"
        " 'evaluators.rng', 'evaluators.sim', 'adrs'}",
        "if held: raise ValueError(held)",
        "return waiting.id",
    )
    assert judged(judge).failure is None


@pytest.mark.slow
def test_nothing_that_a_policy_answered_stays_in_memory():
    gc.collect()
    gc.disable()
    try:
        judged(HONEST)
        kept = [o for o in gc.get_objects() if isinstance(o, Entry | RemotePolicy)]
        assert not any(isinstance(o, Entry) or vars(o) for o in kept)
    finally:
        gc.enable()


def test_a_killed_zygote_is_replaced_and_the_policy_judged_again():
    before = judged(HONEST)
    slow = HONEST.replace("self.seen += len(waiting)", "self.seen += sum([1] * 10**5)")
    expected = judged(slow)
    killer = threading.Timer(0.01, os.kill, (sandbox._zygote().id, signal.SIGKILL))
    killer.start()
    assert judged(slow) == expected
    killer.join()
    assert judged(HONEST) == before


def test_a_policy_that_never_began_is_not_scored(monkeypatch):
    zygote = Zygote()
    monkeypatch.setattr(sandbox, "_zygote", lambda: zygote)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NoProcessError, match="does not start"):
        judged(HONEST)


def test_a_process_killed_from_outside_is_a_crash_and_leaves_nothing(untouched):
    zygote = sandbox._zygote().id

    def kill():
        wait_until(lambda: any(map(is_filtered, below(zygote))))
        os.kill(*below(zygote), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    sleeps = hook(OS, "os.sys.modules['time'].sleep(600)")
    failure = judged(sleeps).failure
    killer.join()
    assert failure == Failure("crash", "its process was ended by SIGKILL")


def test_a_zygote_takes_all_of_its_processes_along():
    zygote = Zygote()
    with zygote.forked(LIMITS) as process:
        assert process.id in below(os.getpid())
        os.kill(zygote.id, signal.SIGKILL)
        wait_until(lambda: process.id not in processes())
    zygote.close()


@pytest.mark.parametrize("limit", ["cpu_s", "wall_s", "memory_bytes"])
def test_a_limit_that_is_not_above_0_is_refused_by_name(limit):
    with pytest.raises(ValueError, match=f"{limit} is 0"):
        replace(LIMITS, **{limit: 0})
