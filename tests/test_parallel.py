"""Things done in processes: in order, few at a time, and never beyond their driver."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from adrs.commands.replay import _counted
from adrs.parallel import AHEAD, in_parallel
from evaluators.descendants import send
from tests.test_pool import command
from tests.test_sandbox import below

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60
DRIVER = """
import ctypes, os, time
from adrs.parallel import in_parallel

def busy(number):
    if number < 2:
        time.sleep(0.2)
        return os.getpid()
    ctypes.PyDLL(None).sleep(600)  # no other thread of it runs meanwhile

if __name__ == "__main__":
    for pid in in_parallel(busy, iter(range(10)), 2):
        print(pid, flush=True)
"""
SHORT = """
from adrs.parallel import in_parallel

if __name__ == "__main__":
    print(list(in_parallel(abs, range(8), 2)))
"""


def square(number):
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number**2


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_what_a_map_gives_of_an_iterator_taken_little_by_little(workers):
    taken, made, most = [], [], 0

    def given():
        for number in range(40):
            taken.append(number)
            yield number

    for each in in_parallel(square, given(), workers):
        most = max(most, len(taken) - len(made))
        made.append(each)
    assert made == [number**2 for number in range(40)]
    assert most <= AHEAD * workers


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_function_or_the_iterator_raises_is_raised_here(workers):
    def broken():
        yield from range(8)
        raise OSError("no more to be read")

    with pytest.raises(ValueError, match="-1 is below 0"):
        list(in_parallel(square, [1, 2, -1, 3], workers))
    with pytest.raises(OSError, match="no more to be read"):
        list(in_parallel(square, broken(), workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_given_is_nothing_made(workers):
    assert list(in_parallel(square, [], workers)) == []


def test_tasks_are_counted_as_they_pass_and_none_is_kept():
    class Task:
        alive = 0

        def __init__(self, candidate):
            self.candidate = candidate
            Task.alive += 1

        def __del__(self):
            Task.alive -= 1

    policies = Counter()
    tasks = _counted((Task(f"c{i // 9}") for i in range(900)), policies)
    assert max(in_parallel(lambda task: Task.alive, tasks, 1)) <= 3
    assert (policies.total(), len(policies)) == (900, 100)


def started(folder, text):
    """A driver with such a text, what it says in a pipe."""
    script = folder / "driver.py"
    script.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_ctrl_c_ends_no_worker_not_even_as_it_starts(tmp_path):
    driver = started(tmp_path, SHORT)
    interrupted = set()
    while driver.poll() is None:
        for process in below(driver.pid):
            if "popen_loky" in command(process) and exists(process):
                send(process, signal.SIGINT)
                interrupted.add(process)
    assert driver.communicate()[0] == f"{list(range(8))}\n"
    assert len(interrupted) == 2


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_workers_end_with_a_killed_driver_even_when_stuck_in_c(tmp_path):
    driver = started(tmp_path, DRIVER)
    workers = {int(driver.stdout.readline()) for _ in range(2)}
    assert all(map(exists, workers))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + PATIENCE_S
    while any(map(exists, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(exists, workers))
    driver.stdout.close()
