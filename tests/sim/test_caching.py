"""Prefix caching in both engines: equal on every request, and worth what it saves."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.sim.arrivals import Arrivals
from evaluators.sim.engine import kv_cache, simulate
from evaluators.sim.fast import FastEngine
from evaluators.sim.hooks import Policy
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.sim.plain.stepwise import PlainEngine
from evaluators.workloads.prefixes import Prefixes
from tests.sim.builders import served
from tests.sim.cached import LateCache
from tests.sim.fuzzed import echoing, fuzzed_policy, fuzzed_scenario, with_prefixes
from tests.sim.test_advance import in_sessions
from tests.sim.test_engine import differences, ended


def test_the_engines_agree_with_a_cache():
    hits = preemptions = 0
    for seed in range(110):
        base = in_sessions(seed) if seed % 3 == 0 else fuzzed_scenario(seed)
        scenario, policy = with_prefixes(base, seed), fuzzed_policy(seed)
        fast = ended(simulate, scenario, policy)
        plain = ended(simulate_plainly, scenario, policy)
        assert differences(fast, plain) == [], seed
        if isinstance(fast, str):
            continue
        assert np.array_equal(fast.hit_tokens, plain.hit_tokens), seed
        check(scenario, fast)
        hits += int(fast.hit_tokens.sum())
        preemptions += int((fast.preemptions * (fast.hit_tokens > 0)).sum())
    assert hits > 4_000
    assert preemptions > 40


RARE = (175, 2949, 5313)
"""Seeds of which one waits for an output, or for copies, or one is paused, in turn."""
RARE_EVICTIONS = (317, 506, 551)
"""Seeds of which a policy sees that decoding has just continued a block."""


def in_python(scenario, policy, eviction=None):
    """What the fast engine makes of a scenario, whoever else could serve it."""
    cache = kv_cache(scenario, eviction)
    engine = FastEngine(scenario, Policy(policy), cache=cache)
    engine.serve(Arrivals(scenario))
    return engine.result()


def found_late(scenario, policy):
    """What it would be, were outputs found only when their request has left."""
    engine = PlainEngine(scenario, Policy(policy), cache=LateCache(scenario))
    engine.serve(Arrivals(scenario))
    return engine.result()


def both(seed, *, evicts):
    """What both engines make of outputs in flight, the plain one last."""
    scenario, policy = echoing(seed), fuzzed_policy(seed) if seed % 2 else object
    radix = replace(scenario.deployment, parents_outlive_children=seed % 8 < 4)
    scenario = replace(scenario, deployment=radix)
    kind = fuzzed_eviction(seed) if evicts else lambda: None
    fast, plain = (
        ended(lambda *of, e=engine: e(*of, eviction=kind()), scenario, policy)
        for engine in (in_python, simulate_plainly)
    )
    assert differences(fast, plain) == [], seed
    if not isinstance(fast, str):
        assert np.array_equal(fast.hit_tokens, plain.hit_tokens), seed
        check(scenario, fast)
    return scenario, policy, plain


def test_the_engines_agree_on_outputs_that_are_found_while_they_grow():
    apart = 0
    for seed in [*range(100), *RARE]:
        scenario, policy, run = both(seed, evicts=False)
        if seed % 4 == 0:
            apart += bool(differences(run, ended(found_late, scenario, policy)))
    assert apart > 6


def test_the_engines_agree_on_what_is_evicted_beside_outputs_that_grow():
    asked = 0
    for seed in [*range(20), *RARE_EVICTIONS]:
        run = both(seed, evicts=True)[2]
        asked += 0 if isinstance(run, str) else run.questions
    assert asked > 100


@pytest.mark.slow
def test_the_engines_agree_on_outputs_in_flight_five_thousand_times():
    for seed in range(10_000, 15_000):
        both(seed, evicts=seed % 4 < 2)


def fuzzed_eviction(seed):
    """A policy that values blocks by what it sees and by what it heard."""
    rng = np.random.default_rng((seed, 4))
    w = rng.normal(size=5)

    class Fuzzed:
        rescore = ("touch", "always")[seed % 2]

        def __init__(self):
            self.heard = 0

        def keep_value(self, blocks, now_s):
            self.asked_at_s = now_s
            age = (now_s - blocks.last_used_s) * 1e10
            key = w[0] * blocks.hits + w[1] * blocks.depth + w[2] * age
            return np.round(key + w[3] * blocks.children + w[4] * self.heard % 3)

    def listened(self, events):
        self.heard += len(events.id)

    for name in ("on_access", "on_evict"):
        if rng.random() < 0.5:
            setattr(Fuzzed, name, listened)
    return Fuzzed


def test_the_engines_agree_on_what_a_policy_evicts():
    asked = hits = 0
    for seed in range(70):
        scenario = with_prefixes(fuzzed_scenario(seed), seed)
        if scenario.deployment.kv_blocks > 150 or len(scenario.trace) > 25:
            continue
        radix = replace(scenario.deployment, parents_outlive_children=seed % 4 < 2)
        scenario = replace(scenario, deployment=radix)
        policy, kind = fuzzed_policy(seed), fuzzed_eviction(seed)
        eviction = {"eviction": lambda kind=kind: kind()}

        def fast(scenario, policy, make=eviction):
            return simulate(scenario, policy, eviction=make["eviction"]())

        def plain(scenario, policy, make=eviction):
            return simulate_plainly(scenario, policy, eviction=make["eviction"]())

        one, other = ended(fast, scenario, policy), ended(plain, scenario, policy)
        assert differences(one, other) == [], seed
        if isinstance(one, str):
            continue
        check(scenario, one)
        asked += one.questions
        built_in = ended(simulate, scenario, policy)
        hits += int((one.hit_tokens != built_in.hit_tokens).sum())
    assert asked > 200
    assert hits > 3


def sharing(requests, chains, **deployment):
    """``served`` with prefix caching and these chains of block contents."""
    scenario = served(requests, prefix_caching=True, **deployment)
    offsets = np.cumsum([0, *map(len, chains)])
    ids = np.array([i for chain in chains for i in chain], dtype=np.int64)
    prefixes = Prefixes(scenario.deployment.block_tokens, offsets, ids)
    return replace(scenario, trace=replace(scenario.trace, prefixes=prefixes))


def test_a_later_request_finds_the_prefix_and_starts_after_it():
    later = sharing([(0, 6, 2), (1000, 6, 2)], [[1, 2, 3], [1, 2, 4]], block_tokens=2)
    run = simulate(later, None)
    assert run.hit_tokens.tolist() == [0, 4]
    assert run.steps.prefill_tokens.sum() == 6 + 2


def test_one_token_is_always_left_to_compute():
    twice = sharing([(0, 4, 1), (1000, 4, 1)], [[1, 2], [1, 2]], block_tokens=2)
    assert simulate(twice, None).hit_tokens.tolist() == [0, 2]


def test_a_request_finds_what_another_computes_in_the_same_step():
    together = sharing([(0, 6, 1), (0, 6, 1)], [[1, 2, 3], [1, 2, 3]], block_tokens=2)
    run = simulate(together, None)
    assert run.hit_tokens.tolist() == [0, 4]
    assert run.admitted_ps.tolist() == [0, 0]


def test_a_preempted_request_finds_its_own_tokens_again():
    tight = sharing([(0, 4, 8), (0, 4, 8)], [[], []], block_tokens=2, kv_blocks=10)
    run = simulate(tight, None)
    assert run.preemptions.tolist() == [0, 1]
    assert run.hit_tokens[1] > 0
