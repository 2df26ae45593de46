"""Every decision of vLLM 0.32's own scheduler, without a model, against ours.

Needs an environment of its own: see README.md in this folder.
"""

from itertools import product

import pytest

from evaluators.load import load_policy
from evaluators.sim.engine import simulate
from evaluators.sim.hooks import HOOKS
from tests.differential.decisions import Steps, first_difference, ours, total
from tests.differential.drawn import PLENTY, TIGHT, scenario
from tests.differential.vllm_python import ROOT, answers, needs_vllm
from tests.differential.vllm_side.job import Job, to_json

pytestmark = [pytest.mark.slow, needs_vllm]

SHORTEST = """
class Shortest:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens
"""
LARGEST_VICTIM = """
class LargestVictim:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens

    def victim_key(self, running, engine):
        return running.blocks_held
"""
CAPPED = """
class Capped:
    def admit_key(self, waiting, engine):
        return waiting.predicted_tokens

    def prompt_cap(self, engine):
        return 48 if engine.n_running > 2 else 100

    def token_budget(self, engine):
        return 192 + int(engine.free_blocks)
"""
SHIPPED = (
    "aged_shortest_prompt",
    "earliest_deadline",
    "fcfs",
    "head_room",
    "least_slack",
    "sarathi",
    "vtc",
)
POLICIES = {
    "none": "",
    "shortest": SHORTEST,
    "largest_victim": LARGEST_VICTIM,
    "capped": CAPPED,
} | {name: (ROOT / f"seeds/scheduling/{name}.py").read_text() for name in SHIPPED}
MEMORY = {"plenty": PLENTY, "tight": TIGHT}
SEEDS = (1, 2, 3)

Case = tuple[str, str, bool, bool, int]
CASES: list[Case] = [
    *product(list(POLICIES)[:4], MEMORY, (False, True), (False, True), SEEDS),
    *product(SHIPPED, ("tight",), (False, True), (False, True), SEEDS[:1]),
]


def job(case: Case) -> Job:
    policy, memory, caching, reserve, seed = case
    sizes = {
        "kv_blocks": MEMORY[memory],
        "prefix_caching": caching,
        "reserve_full_prompt": reserve,
    }
    return Job(scenario(seed, **sizes), POLICIES[policy])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> dict[Case, Steps]:
    """vLLM's decisions in every case, from one process."""
    jobs = (to_json(job(case)) for case in CASES)
    said = answers("driver", jobs, tmp_path_factory.mktemp("vllm"))
    return dict(zip(CASES, said, strict=True))


def loaded(text: str) -> object:
    return load_policy(text, HOOKS) if text else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_vllm_decides_as_we_do_in_every_step(theirs, case):
    served, policy = job(case)
    steps = theirs[case]
    assert first_difference(ours(served, loaded(policy)), steps) is None
    assert len(steps) > 500
    if case[1] == "tight" and case[0] != "head_room":
        assert total(steps, "preempted") >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_the_fast_engine_decides_as_vllm_does(theirs, case):
    served, policy = job(case)
    run, steps = simulate(served, loaded(policy)), theirs[case]
    decided = [
        (step["at_ps"], kind, row)
        for step in steps
        for kind, rows in (
            ("preempt", step["preempted"]),
            ("admit", [row for row, _ in step["admitted"]]),
        )
        for row in rows
    ]
    assert sorted(run.decisions) == sorted(decided)
    assert run.iterations == len(steps)
    ends = {row: step["ends_ps"] for step in steps for row in step["finished"]}
    assert dict(enumerate(run.finished_ps.tolist())) == ends


CONTROL: Case = ("shortest", "tight", False, True, 1)


def test_the_comparison_notices_another_policy(theirs):
    served, _ = job(CONTROL)
    assert first_difference(ours(served, None), theirs[CONTROL]) is not None


@pytest.mark.parametrize("change", [{"kv_blocks": TIGHT - 1}, {"max_step_tokens": 255}])
def test_the_comparison_notices_one_block_or_token_fewer(theirs, change):
    changed = scenario(CONTROL[-1], **({"kv_blocks": TIGHT} | change))
    steps = ours(changed, loaded(SHORTEST))
    assert first_difference(steps, theirs[CONTROL]) is not None
