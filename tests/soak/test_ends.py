"""kill -9 of a zygote, a worker or a driver over policies that will not end."""

import os
import subprocess
import sys

import pytest

from evaluators.confine import adopt_orphans
from tests.acceptance.command import ENVIRONMENT
from tests.acceptance.test_kills import alive
from tests.attacks.resources import HANGS
from tests.soak.candidates import SIMPLE
from tests.soak.family import end, policies, shared_names, workers, zygotes
from tests.test_sandbox import below, processes, wait_until

pytestmark = pytest.mark.slow
HELD = {
    "hangs in C": HANGS["hangs in C"],
    "sleeps": HANGS["sleeps"],
    "hides from every signal": SIMPLE["hides from every signal and spins"],
}
HOLDS_S = 0.5
"""So long a policy is left alone: by then it is in its hook."""

DRIVER = """
import sys
from adrs.pool import Pool
from adrs.sandbox import Limits
from tests.test_pool import EXAMS

limits = Limits(cpu_s=60, wall_s=60, memory_bytes=1 << 26)
with Pool("scheduling", 2, "strict", limits) as pool:
    list(pool.evaluate([sys.argv[1]] * 2, EXAMS[:1]))
"""


@pytest.fixture(params=HELD.values(), ids=HELD)
def driver(request):
    """A pool's driver whose two policies never end; all that is left becomes ours."""
    adopt_orphans()
    before = below(os.getpid())
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, request.param.source], env=ENVIRONMENT
    )
    try:
        wait_until(lambda: len(policies(process.pid)) == 2, 60)
        with pytest.raises(AssertionError):
            wait_until(lambda: len(policies(process.pid)) < 2, HOLDS_S)
        yield process
    finally:
        process.kill()
        process.wait()
        wait_until(gone(below(os.getpid()) - before))
        assert shared_names(process.pid) == set()


def gone(family):
    """Whether none of them runs any more; those that became ours are buried."""
    return lambda: not any(map(alive, family))


def test_a_killed_zygote_takes_its_policy_along_and_another_judges_it(driver):
    zygote = min(zygotes(driver.pid))
    held, worker = below(zygote), processes()[zygote]
    assert len(held) == 1
    assert end(zygote, zygotes(driver.pid).__contains__)
    wait_until(gone(held | {zygote}))
    wait_until(lambda: len(policies(driver.pid)) == 2, 30)
    assert worker in workers(driver.pid)


def test_a_killed_worker_takes_its_zygote_and_policy_along(driver):
    worker = min(workers(driver.pid))
    family = below(worker) | {worker}
    assert len(family) == 3
    assert end(worker, workers(driver.pid).__contains__)
    wait_until(gone(family))
    wait_until(lambda: len(policies(driver.pid)) == 2, 30)
    assert driver.poll() is None


def test_a_killed_driver_takes_all_below_it_along(driver):
    family = below(driver.pid)
    assert len(family) >= 6
    driver.kill()
    driver.wait()
    wait_until(gone(family))
