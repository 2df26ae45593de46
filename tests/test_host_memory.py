"""Host memory in the configuration: from YAML to a stamped result."""

import pytest

from adrs import exams, settings
from adrs.workloads import configured
from evaluators import problems
from evaluators.calibration.shapes import MODELS
from evaluators.host_memory import host_memory
from evaluators.sim.engine import simulate
from evaluators.splits import Plan, draw_split
from tests.problems.builders import synthetic


def service(*overrides):
    typed = ("deployment=h100_llama31_8b_tight_swap", *overrides)
    composed = settings.settings("evolve", settings.Arguments((), typed))
    return exams.service(composed.deployment, composed.problem)


def test_a_deployment_with_host_memory_says_whose_copy_times_it_assumes():
    assert service().calibration.endswith("copies pcie5_x16 (assumed)")
    assert service().deployment.host_memory.run_copies == 64


def test_the_parts_of_fastswitch_are_switches():
    host = service(
        "deployment.host_memory.group_blocks=64", "deployment.host_memory.overlaps=true"
    ).deployment.host_memory
    assert (host.group_blocks, host.overlaps) == (64, True)


def test_an_experiment_has_a_tier_of_host_memory_below_the_cache():
    made = settings.settings(
        "evolve", settings.Arguments((), ("experiment=host_cache",))
    )
    where = exams.service(made.deployment, made.problem).deployment
    assert where.prefix_caching
    assert where.host_memory.blocks == pytest.approx(2 * where.kv_blocks, rel=1e-3)
    assert (where.host_memory.writes, where.host_memory.run_copies) == ("through", 1)


@pytest.mark.parametrize("problem", ["eviction", "load_balancing"])
def test_problems_with_a_cache_are_judged_with_host_memory_below_it(problem):
    typed = (
        f"problem={problem}",
        "deployment=h100_llama31_8b_host_cache",
        "problem.n_requests=12",
    )
    made = settings.settings("evolve", settings.Arguments((), typed))
    serves = exams.service(made.deployment, made.problem)
    workload = configured(made.workload, None)
    drawn = draw_split(workload, serves, "train", Plan(1, 12, (1.0,)), 20.0)[0]
    judge = problems.load(problem)
    outcome = judge.evaluate(None, drawn, judge.standard(drawn))
    assert outcome.failure is None
    assert outcome.metrics["copied_out_gb"] > 0


def test_tiers_below_are_a_list_and_their_curves_are_named_too():
    tier = "{name: ssd, gigabytes: 900, curve: nvme4_x4}"
    made = service(f"deployment.host_memory.below=[{tier}]")
    assert made.deployment.host_memory.below[0].size_bytes == 900 * 10**9
    assert made.calibration.endswith("pcie5_x16 (assumed), nvme4_x4 (assumed)")


def test_sixty_gigabytes_hold_half_a_million_tokens_of_llama():
    host = host_memory(MODELS["llama-3.1-8b"], 16, gigabytes=60, curve="pcie4_x16")
    assert host.blocks * 16 == pytest.approx(60e9 / 131_072, rel=1e-3)


@pytest.mark.parametrize(
    ("gigabytes", "curve", "says"),
    [(0.0001, "pcie4_x16", "blocks is 0"), (60, "morse", "no copy curve 'morse'")],
)
def test_host_memory_that_cannot_be_is_refused(gigabytes, curve, says):
    with pytest.raises(ValueError, match=says):
        host_memory(MODELS["llama-3.1-8b"], 16, gigabytes=gigabytes, curve=curve)


def test_a_policy_is_told_what_moving_a_block_takes():
    class Witness:
        def token_budget(self, engine):
            self.seen = engine.host_blocks, engine.host_copy_s
            return engine.max_step_tokens

    host = host_memory(MODELS["llama-3.1-8b"], 16, gigabytes=60, curve="pcie4_x16")
    for memory, expected in ((host, (host.blocks, 64 * 3.81e-6)), (None, (0, 0))):
        policy = Witness()
        simulate(synthetic(1.0, n=5, host_memory=memory), policy)
        assert policy.seen == pytest.approx(expected, rel=1e-3)
