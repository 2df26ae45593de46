"""Every decision of vLLM 0.32's own scheduler, without a model, against ours.

Needs an environment of its own: see README.md in this folder.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluators.load import load_policy
from evaluators.sim.cache.evict import HOOKS as EVICTION_HOOKS
from evaluators.sim.compiled.serve import serve
from evaluators.sim.hooks import HOOKS
from evaluators.sim.run import Run
from tests.differential.decisions import (
    LateCache,
    Steps,
    fast,
    first_difference,
    happened,
    ours,
    total,
)
from tests.differential.drawn import TIGHT, scenario
from tests.differential.policies import EVICTION, MADE, SCHEDULING, SHIPPED
from tests.differential.vllm_python import answers, needs_vllm
from tests.differential.vllm_side.job import Job, to_json

pytestmark = [pytest.mark.slow, needs_vllm]
DRIVER = "tests.differential.vllm_side.driver"

MEMORY = {"plenty": 400, "tight": TIGHT}
SEEDS = (1, 2, 3)
NO, BOTH = (False,), (False, True)


class Case(NamedTuple):
    """What is served; ``cache`` names who evicts, "" where nothing is kept.

    With ``ahead`` each step is decided when the one before begins.
    """

    requests: str
    policy: str
    memory: str
    cache: str
    reserve: bool
    seed: int
    ahead: bool = False

    def __str__(self) -> str:
        return "-".join(map(str, self))


CASES = [
    Case(*values)
    for values in (
        *product(["open"], MADE, MEMORY, ("", "own"), BOTH, SEEDS),
        *product(["open"], SHIPPED, ["tight"], ("", "own"), BOTH, SEEDS[:1]),
        *product(["open"], ("none", "largest_victim"), MEMORY, EVICTION, NO, SEEDS),
        *product(["sessions"], ("none", "shortest"), MEMORY, EVICTION, NO, SEEDS),
        *product(["untimely"], ("none", "capped"), MEMORY, ["own"], BOTH, SEEDS),
        *product(["untimely"], ("none", "shortest"), ["tight"], EVICTION, NO, SEEDS),
    )
]
CASES = list(dict.fromkeys(CASES))
CONTROL = Case("open", "shortest", "tight", "own", True, 1)
EACH = pytest.mark.parametrize("case", CASES, ids=str)


def served(case: Case, **changed: int):
    sizes = {
        "kv_blocks": MEMORY[case.memory],
        "prefix_caching": bool(case.cache),
        "reserve_full_prompt": case.reserve,
        "async_scheduling": case.ahead,
    }
    return scenario(case.seed, case.requests, **(sizes | changed))


def policies(case: Case) -> tuple[object, object]:
    """The objects that decide: who is served, and what is evicted."""
    texts = SCHEDULING[case.policy], EVICTION.get(case.cache, "")
    hooks = HOOKS, EVICTION_HOOKS
    return tuple(
        load_policy(text, known) if text else None
        for text, known in zip(texts, hooks, strict=True)
    )


def decided(cases: Sequence[Case], folder: Path) -> dict[Case, Steps]:
    """vLLM's decisions in every case, from one process."""
    jobs = (
        Job(served(case), SCHEDULING[case.policy], EVICTION.get(case.cache, ""))
        for case in cases
    )
    return dict(zip(cases, answers(DRIVER, map(to_json, jobs), folder), strict=True))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> dict[Case, Steps]:
    return decided(CASES, tmp_path_factory.mktemp("vllm"))


def agrees(run: Run, steps: Steps) -> None:
    """The run has vLLM's decisions, finishes and tokens found."""
    decisions, ends, hits = happened(steps)
    assert sorted(run.decisions) == decisions
    assert run.iterations == len(steps)
    assert dict(enumerate(run.finished_ps.tolist())) == ends
    assert {row: int(run.hit_tokens[row]) for row in hits} == hits
    assert run.hit_tokens.sum() == sum(hits.values())


@EACH
def test_the_plain_engine_decides_as_vllm_does_in_every_step(theirs, case):
    steps = theirs[case]
    assert first_difference(ours(served(case), *policies(case)), steps) is None
    assert len(steps) > 500
    if case.memory == "tight" and case.policy in MADE and case.requests == "open":
        assert total(steps, "preempted") >= 50
    if case.memory == "tight" and case.cache:
        assert total(steps, "evicted") >= 500


@EACH
def test_the_fast_engine_decides_as_vllm_does(theirs, case):
    agrees(fast(served(case), *policies(case)), theirs[case])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.policy == "none" and c.cache in {"", "own"}], ids=str
)
def test_the_machine_code_decides_as_vllm_does(theirs, case):
    pytest.importorskip("numba")
    agrees(serve(served(case)), theirs[case])


def test_the_comparison_notices_another_policy(theirs):
    steps = ours(served(CONTROL), None, None)
    assert first_difference(steps, theirs[CONTROL]) is not None


@pytest.mark.parametrize("change", [{"kv_blocks": TIGHT - 1}, {"max_step_tokens": 255}])
def test_the_comparison_notices_one_block_or_token_fewer(theirs, change):
    steps = ours(served(CONTROL, **change), *policies(CONTROL))
    assert first_difference(steps, theirs[CONTROL]) is not None


def test_the_comparison_notices_another_order_of_eviction(theirs):
    changed = CONTROL._replace(cache="least_found")
    steps = ours(served(CONTROL), *policies(changed))
    number, mine, others = first_difference(steps, theirs[CONTROL])
    assert number > 0
    assert mine["evicted"] != others["evicted"]


def test_valuing_the_last_use_is_vllms_own_order(theirs):
    for case in CASES:
        if case.cache == "longest_unused":
            own = theirs[case._replace(cache="own")]
            assert first_difference(theirs[case], own) is None


def test_the_comparison_notices_outputs_found_only_when_their_request_leaves(theirs):
    apart = 0
    for case in CASES:
        if case.requests == "untimely":
            steps = ours(served(case), *policies(case), cache=LateCache)
            apart += first_difference(steps, theirs[case]) is not None
    assert apart > 20


def test_the_cases_have_all_there_is_to_compare(theirs):
    fields = ("work", "preempted", "admitted", "evicted", "finished")
    counts = {
        field: sum(total(theirs[case], field) for case in CASES) for field in fields
    }
    found = sum(sum(happened(theirs[case])[2].values()) for case in CASES)
    steps = sum(len(theirs[case]) for case in CASES)
    print(f"{len(CASES)} runs, {steps} steps, {found} tokens found, {counts}")
    assert found > 100_000
    assert min(counts.values()) > 10_000
