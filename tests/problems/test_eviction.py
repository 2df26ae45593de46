import random

import numpy as np
import pytest

from evaluators.load import load_policy
from evaluators.problems.eviction import PROBLEM
from evaluators.reuse import reusable_s, reuse
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cache.owners import Owners
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.trace import PS_PER_S, Trace
from tests.problems.builders import SEEDS
from tests.sim.builders import SIMPLE
from tests.sim.fuzzed import CLASSES


def questions(seed, *, n=60, documents=6, kv_blocks=64, longest=9, radix=False):
    """Requests on few documents of eight blocks, with a question of their own."""
    rng = random.Random(seed)
    arrived = np.sort([rng.randrange(4 * n) for _ in range(n)]) * 100
    which = [int(documents * rng.random() ** 2) for _ in range(n)]
    asked = [rng.randint(1, 20) for _ in range(n)]
    chains = [[8 * w + block for block in range(8)] for w in which]
    ids = np.array([i for chain in chains for i in chain])
    prompts = np.array([32 + q for q in asked])
    outputs, zeros = np.array([rng.randint(1, longest) for _ in range(n)]), np.zeros(n)
    trace = Trace(
        arrived,
        prompts,
        outputs,
        outputs,
        zeros,
        zeros,
        Prefixes(4, 8 * np.arange(n + 1), ids),
    )
    where = Deployment(
        "small",
        kv_blocks,
        block_tokens=4,
        max_running=4,
        max_step_tokens=64,
        prefix_caching=True,
        parents_outlive_children=radix,
    )
    return Scenario("small", "train", 1.0, trace, where, SIMPLE, CLASSES, "made up")


def seed_named(name):
    return load_policy((SEEDS / "eviction" / f"{name}.py").read_text(), PROBLEM.hooks)


@pytest.mark.parametrize("radix", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_built_in_order_and_its_seed_twin_decide_alike(seed, radix):
    scenario = questions(seed, radix=radix)
    own, twin = (PROBLEM.serve(p, scenario) for p in (None, seed_named("lru")))
    assert own.hit_tokens.tolist() == twin.hit_tokens.tolist()
    assert own.finished_ps.tolist() == twin.finished_ps.tolist()
    assert twin.questions > own.questions == 0


@pytest.mark.parametrize("name", sorted(p.stem for p in SEEDS.glob("eviction/*.py")))
@pytest.mark.parametrize("radix", [False, True])
def test_every_seed_is_scored_within_its_bound(name, radix):
    scenario = questions(1, radix=radix)
    outcome = PROBLEM.evaluate(seed_named(name), scenario, PROBLEM.standard(scenario))
    assert outcome.failure is None
    assert 0 < outcome.score <= 1
    assert 0 < outcome.metrics["clairvoyant_ratio"] <= 1


def test_a_memory_for_everything_saves_all_that_can_be_saved():
    scenario = questions(2, kv_blocks=4000)
    outcome = PROBLEM.evaluate(None, scenario, PROBLEM.standard(scenario))
    run = PROBLEM.serve(None, scenario)
    assert not run.preemptions.any()
    late = run.hit_tokens < 32
    # Only the first of a document misses it, and who came before it was computed.
    assert late.sum() >= 6
    assert outcome.metrics["saved_share"] > 0.8


def test_what_can_be_saved_counts_all_finds_but_the_first():
    scenario = questions(0)
    which = scenario.trace.prefixes.ids[::8] // 8
    block_s = Owners(scenario).recompute_s(np.arange(8))
    finds = len(which) - len(set(which.tolist()))
    assert reusable_s(scenario) == pytest.approx(finds * block_s.sum())


def test_a_step_of_prompt_costs_what_its_blocks_are_worth():
    owners, blocks = Owners(questions(0)), np.arange(3)
    # 10 ps a step of 64 tokens and 1 ps a token more.
    per_token_s = (10 + 64) / 64 / PS_PER_S
    assert owners.recompute_s(blocks) == pytest.approx([4 * per_token_s] * 3)


def test_a_preempted_request_saves_nothing():
    scenario = questions(4, kv_blocks=36, longest=60)
    run = PROBLEM.serve(None, scenario)
    assert run.preemptions.any()
    kept = run.hit_tokens[run.preemptions == 0].sum() // 4
    block_s = Owners(scenario).recompute_s(np.arange(1))[0]
    assert reuse(scenario, run).saved_s == pytest.approx(kept * block_s)


class Wrong:
    def __init__(self, answer):
        self.answer = answer

    def keep_value(self, blocks, now_s):
        return self.answer(len(blocks))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda n: np.zeros(n + 1), "expected"),
        (lambda n: np.full(n, np.nan), "nan for row 0"),
        (lambda n: ["a"] * n, "need numbers"),
    ],
)
def test_an_answer_that_is_no_value_for_each_block_is_a_failure(answer, complaint):
    scenario = questions(0)
    standard = PROBLEM.standard(scenario)
    outcome = PROBLEM.evaluate(Wrong(answer), scenario, standard)
    assert outcome.failure.kind == "decision"
    assert complaint in outcome.failure.message


def test_a_policy_cannot_be_asked_in_a_way_that_there_is_not():
    scenario = questions(0)
    policy = Wrong(np.zeros)
    policy.rescore = "never"
    outcome = PROBLEM.evaluate(policy, scenario, PROBLEM.standard(scenario))
    assert outcome.failure.kind == "interface"
