import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from adrs.pool import Pool, WorkerError, cores, in_process
from adrs.sandbox import Limits
from evaluators import problems
from evaluators.problem import Exam
from tests.attacks.resources import ENDS, HANGS
from tests.attacks.table import SPIN, hook
from tests.sandbox_problem import HONEST, exam
from tests.test_sandbox import below, processes, wait_until

PROBLEM = problems.load("scheduling")
LIMITS = Limits(cpu_s=0.5, wall_s=60, memory_bytes=1 << 26)
LONGEST = HONEST.replace("waiting.prompt_tokens", "-waiting.prompt_tokens")
SLOW = hook("sum([1] * 200_000)", "return waiting.id")
DRIVER = """
import sys
from adrs.pool import Pool
from tests.test_pool import EXAMS, HONEST, LIMITS, SPIN, hook

with Pool("scheduling", 2, "strict", LIMITS) as pool:
    work = pool.evaluate([HONEST] + [hook(SPIN)] * 50, EXAMS)
    next(work)
    print("started", flush=True)
    list(work)
"""


def scheduling_exam(rows):
    scenario = exam(rows, f"{rows} rows").scenario
    return Exam(scenario, PROBLEM.standard(scenario))


EXAMS = [scheduling_exam(20), scheduling_exam(40)]


@pytest.fixture(scope="module")
def pool():
    with Pool("scheduling", 2, "strict", LIMITS) as pool:
        list(pool.evaluate([HONEST] * 2, EXAMS))
        yield pool


def workers():
    """Processes of ours that hold a zygote, which holds nobody outside a policy."""
    parents = processes()
    mine = below(os.getpid())
    zygotes = {p for p in mine if "evaluators.zygote" in command(p)}
    return {parents.get(p) for p in zygotes} - {None, os.getpid()}


def command(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def scored(evaluation):
    """The outcomes without what is logged only of a policy in another process."""
    return tuple(replace(outcome, decisions="") for outcome in evaluation.outcomes)


def test_evaluations_come_in_the_order_asked_and_equal_those_in_process(pool):
    broken = "class Nothing: pass"
    sources = [SLOW, HONEST, broken, LONGEST, HONEST]
    got = [scored(evaluation) for evaluation in pool.evaluate(sources, EXAMS)]
    assert got == [scored(in_process(PROBLEM, one, EXAMS)) for one in sources]


def test_each_evaluation_is_stamped_with_its_isolation(pool):
    (evaluation,) = pool.evaluate([HONEST], EXAMS)
    assert evaluation.isolation == "strict"
    assert in_process(PROBLEM, HONEST, EXAMS).isolation == "none"


def test_hostile_policies_leave_the_scores_of_their_neighbours_alone(pool):
    hostile = [
        HANGS["hangs in C"],
        ENDS["exits without a word"],
        ENDS["kills the process above it"],
        ENDS["aborts"],
    ]
    sources = [text for attack in hostile for text in (attack.source, HONEST)]
    got = list(pool.evaluate(sources, EXAMS))
    assert [e.failure.kind for e in got[::2]] == [attack.kind for attack in hostile]
    honest = scored(in_process(PROBLEM, HONEST, EXAMS))
    assert [scored(e) for e in got[1::2]] == [honest] * len(hostile)


def test_work_begins_when_asked_for_not_when_looked_at(pool):
    work = pool.evaluate([SLOW] * 2, EXAMS)
    wait_until(lambda: any(len(below(w)) > 1 for w in workers()))
    assert len(list(work)) == 2


def test_nothing_to_judge_gives_nothing(pool):
    assert list(pool.evaluate([], EXAMS)) == []


def test_work_of_killed_workers_is_done_again_never_scored(pool):
    work = pool.evaluate([SLOW, HONEST] * 6, EXAMS)
    first = next(work)
    for worker in workers():
        os.kill(worker, signal.SIGKILL)
    got = [first, *work]
    expected = [scored(in_process(PROBLEM, one, EXAMS)) for one in (SLOW, HONEST)]
    assert [scored(evaluation) for evaluation in got] == expected * 6


def test_workers_that_die_each_time_stop_the_run_with_a_reason():
    is_over = threading.Event()

    def kill():
        while not is_over.wait(0.01):
            for worker in workers():
                os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with (
        Pool("scheduling", 1, "strict", LIMITS) as pool,
        pytest.raises(WorkerError, match="workers died 3 times"),
    ):
        list(pool.evaluate([hook(SPIN)], EXAMS[:1]))
    is_over.set()
    killer.join()


def test_a_closed_pool_leaves_no_process_though_work_was_in_hand():
    before = below(os.getpid())
    with Pool("scheduling", 2, "strict", LIMITS) as pool:
        work = pool.evaluate([HONEST] + [hook(SPIN)] * 20, EXAMS)
        next(work)
    wait_until(lambda: not tracked(below(os.getpid()) - before))


def test_a_pool_closed_while_work_is_handed_over_ends_in_order(monkeypatch):
    failed = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    for delay_s in (0, 0.001, 0.003, 0.01) * 4:
        with Pool("scheduling", 2, "strict", LIMITS) as pool:
            pool.evaluate([HONEST] * 20, EXAMS)
            time.sleep(delay_s)
    assert not failed


def test_a_killed_driver_leaves_no_process_within_two_seconds():
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout.readline() == "started\n"
    family = below(driver.pid)
    assert len(family) >= 6  # two workers, two zygotes, two policies
    driver.kill()
    driver.communicate()
    wait_until(lambda: not family & set(processes()))


def tracked(family):
    """Without loky's tracker of shared names, which ends with this very process."""
    return {p for p in family if "resource_tracker" not in command(p)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("schedulin", 1, "strict"), "unknown problem 'schedulin'"),
        (("scheduling", 0, "strict"), "workers is 0"),
        (("scheduling", 1, "landlock"), "one of strict, partial, rlimits"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_with_a_reason(arguments, says):
    with pytest.raises(ValueError, match=says):
        Pool(*arguments, LIMITS)


def test_a_worker_and_its_policies_hold_their_code_at_the_same_addresses(pool):
    list(pool.evaluate([HONEST] * 4, EXAMS))
    for worker in workers():
        (zygote,) = (p for p in below(worker) if "evaluators.zygote" in command(p))
        ours, theirs = code_of(worker), code_of(zygote)
        assert ours.keys() >= theirs.keys() > set()
        assert {path: ours[path] for path in theirs} == theirs


def code_of(process):
    """Where a process holds the code of Python itself and of numpy's core."""
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    code = [line.split() for line in lines if " r-xp " in line]
    named = ("python", "libpython", "_multiarray_umath")
    return {c[-1]: c[0] for c in code if Path(c[-1]).name.startswith(named)}


@pytest.mark.slow
def test_workers_keep_to_cores_and_spread_over_them():
    with Pool("scheduling", 2 * cores(), "strict", LIMITS) as pool:
        list(pool.evaluate([SLOW] * 8 * cores(), EXAMS))
        pinned = [os.sched_getaffinity(w) for w in workers()]
    assert all(len(kept) == 1 for kept in pinned)
    assert len(set.union(*pinned)) == cores()
