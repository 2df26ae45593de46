"""Ten thousand candidates, one in twenty hostile, while workers and zygotes die.

ADRS_SOAK names another number of them; memory is looked at from 5,000 on.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluators.confine import adopt_orphans
from tests.acceptance.command import ENVIRONMENT
from tests.acceptance.test_kills import alive
from tests.soak.family import shared_names
from tests.test_sandbox import below, wait_until

pytestmark = pytest.mark.slow
CANDIDATES = int(os.environ.get("ADRS_SOAK", "10000"))
SEED = 4
SPREAD = 0.05
LONG = 5_000
"""Below this, what was loaded at the start still shows in the memory."""

MARKS = (Path("/tmp/adrs-attack"),)
"""Where attacks write that know of no prey."""

PASSES = ("calm", "hit")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty folder to run in, with one for what is temporary and one for prey."""
    place = tmp_path_factory.mktemp("soak")
    place.chmod(0o755)
    for name in ("cwd/prey", "tmp"):
        (place / name).mkdir(parents=True)
    return place


@pytest.fixture(scope="module")
def soaked(place):
    """What was seen, and what was said otherwise; all that is left becomes ours."""
    adopt_orphans()
    before, own = below(os.getpid()), os.listdir("/proc/self/fd")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.soak", str(CANDIDATES), str(SEED)],
        cwd=place / "cwd",
        env={**ENVIRONMENT, "TMPDIR": str(place / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started_s = time.time()
    said, complaints = process.communicate()
    print("\n", *said.splitlines()[:-1], complaints[-2000:], sep="\n")
    assert process.returncode == 0, complaints
    wait_until(lambda: not any(map(alive, below(os.getpid()) - before)))
    assert len(os.listdir("/proc/self/fd")) == len(own)
    found = json.loads(said.splitlines()[-1])
    # What other tests may have left there before is none of this one's.
    marked = [p for p in MARKS if p.exists() and p.stat().st_mtime >= started_s]
    return {**found, "marked": marked, "process": process.pid}


def test_each_candidate_gets_one_verdict_in_order_and_the_expected_one(soaked):
    # That there are as many verdicts as candidates was held there, pass by pass.
    for which in PASSES:
        assert sum(soaked[which]["kinds"].values()) == CANDIDATES
        assert soaked[which]["faults"] == []
    # No verdict could have stood in the place of another.
    assert soaked["honest_verdicts"] == soaked["honest"] > 0.9 * CANDIDATES


def test_honest_verdicts_are_to_the_bit_those_of_a_calm_run(soaked):
    assert soaked["killed"]["worker"] and soaked["killed"]["zygote"]
    assert soaked["differing"] == []
    assert soaked["differing_in_process"] == []


def test_hostile_verdicts_are_to_the_letter_those_of_a_calm_run(soaked):
    assert soaked["hostile_differing"] == []


def test_no_process_descriptor_thread_or_file_is_left(soaked, place):
    before, after = soaked["standing"]
    assert after == before
    assert shared_names(soaked["process"]) == set()
    assert os.listdir(place / "tmp") == []
    assert os.listdir(place / "cwd") == ["prey"]
    assert not (place / "cwd/prey/written").exists()
    assert soaked["marked"] == []


def test_workers_hold_no_more_descriptors_the_longer_they_judge(soaked):
    for which in PASSES:
        held = soaked[which]["descriptors"]
        assert max(held[len(held) // 2 :]) <= max(held[: len(held) // 2])


@pytest.mark.skipif(CANDIDATES < LONG, reason=f"fewer than {LONG} candidates")
@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("who", ["driver", "workers"])
def test_memory_is_flat(soaked, which, who):
    # Resident and anonymous pages; the proportional share varies with who else runs.
    early, late = soaked[which][who]
    for sort in (0, 2):
        assert abs(late[sort] / early[sort] - 1) <= SPREAD
