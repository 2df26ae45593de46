"""Every decision of vLLM 0.32's ``AsyncScheduler``, two steps in flight, against ours.

vLLM decides a step while the one before computes, and hears of that one's output only
then (``vllm_side/session.py``). Needs an environment of its own: see README.md in this
folder.
"""

from itertools import product

import pytest

from evaluators.sim.compiled.coverage import covers
from evaluators.sim.compiled.serve import serve
from tests.differential.decisions import (
    FoundEarly,
    Steps,
    fast,
    first_difference,
    ours,
    total,
)
from tests.differential.policies import EVICTION
from tests.differential.test_vllm_decisions import (
    BOTH,
    MEMORY,
    NO,
    SEEDS,
    Case,
    agrees,
    decided,
    policies,
    served,
)
from tests.differential.vllm_python import needs_vllm

pytestmark = [pytest.mark.slow, needs_vllm]

AHEAD, RULES = (True,), ("none", "shortest")
CACHES = ("", "own")
CASES = [
    Case(*values)
    for values in (
        *product(["open"], RULES, MEMORY, CACHES, BOTH, SEEDS[:2], AHEAD),
        *product(["open"], ["largest_victim"], MEMORY, CACHES, NO, [3], AHEAD),
        *product(["open"], ["capped"], MEMORY, CACHES, NO, [3], AHEAD),
        *product(["sessions"], RULES, MEMORY, ["own", "everything"], NO, [1], AHEAD),
        *product(["untimely"], RULES, ["tight"], ["own", "everything"], NO, [1], AHEAD),
        *product(["untimely"], ["capped"], ["plenty"], ["own"], BOTH, [2], AHEAD),
    )
]
EACH = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> dict[Case, Steps]:
    return decided(CASES, tmp_path_factory.mktemp("vllm"))


@EACH
def test_the_plain_engine_decides_ahead_as_vllm_does_in_every_step(theirs, case):
    steps = theirs[case]
    assert first_difference(ours(served(case), *policies(case)), steps) is None
    ahead = sum(step["at_ps"] < step["begins_ps"] for step in steps)
    assert ahead > 0.9 * len(steps) > 450
    if case.memory == "tight" and case.requests == "open":
        assert total(steps, "preempted") >= 50


@EACH
def test_the_fast_engine_decides_ahead_as_vllm_does(theirs, case):
    agrees(fast(served(case), *policies(case)), theirs[case])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.policy == "none" and c.cache in CACHES], ids=str
)
def test_the_machine_code_decides_ahead_as_vllm_does(theirs, case):
    pytest.importorskip("numba")
    exam = served(case)
    assert covers(exam, None) == (case.requests != "untimely")
    if covers(exam, None):
        agrees(serve(exam), theirs[case])


@EACH
def test_an_engine_that_decides_when_a_step_has_ended_decides_otherwise(theirs, case):
    steps = ours(served(case._replace(ahead=False)), *policies(case))
    number, mine, others = first_difference(steps, theirs[case])
    assert number < 20
    assert mine["at_ps"] > others["at_ps"]


def test_the_comparison_notices_blocks_found_before_their_tokens_have_come(theirs):
    """What is cached when it is decided, as without the switch, is found too early."""
    apart = 0
    for case in CASES:
        if case.requests == "untimely":
            exam = served(case)
            steps = ours(exam, *policies(case), kind=FoundEarly)
            apart += first_difference(steps, theirs[case]) is not None
    assert apart > 3


def test_the_cases_have_all_there_is_to_compare(theirs):
    fields = ("work", "preempted", "admitted", "evicted", "finished")
    counts = {
        field: sum(total(theirs[case], field) for case in CASES) for field in fields
    }
    steps = sum(len(theirs[case]) for case in CASES)
    print(f"{len(CASES)} runs, {steps} steps, {counts}")
    assert min(counts.values()) > 1_000
    assert {case.cache for case in CASES} < {"", *EVICTION}
