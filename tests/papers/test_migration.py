"""R9: moving running requests between instances while they go on decoding.

Paper: B. Sun et al., "Llumnix: Dynamic Scheduling for Large Language Model Serving",
OSDI 2024.
Set-up: OPT-13B on A100s with DistServe's coefficients, 8 instances of 16,000 tokens of
KV each, Poisson arrivals at 30 req/s, prompts and answers of 64 x Pareto(1.1) tokens
(at most 6,000 and 4,000), dispatch by freeness. KV of 0.82 MB a token travels at 20
GB/s, an assumed wire. Migration on: the seed ``llumnix``; off: its dispatch alone.
Published: preemption stalls about 100x shorter, P99 per-token latency up to 2x; 36 %
fewer instances with autoscaling, which is the fleet problem's. Measured here, median of
5 seeds: stalls 13x shorter with 1,000 requests and 3.2x with 2,000, P99 time per token
1.03x and 1.13x.
Control 3: with equal lengths at half the load, migration gains less than 2 %.
"""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.fleet import assumed_wire
from evaluators.rng import stream
from evaluators.scenario import Deployment
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from tests.papers.routers import DispatchOnly, fleet_of, router
from tests.problems.builders import trace_of

CALIBRATION = load("opt13b_a100_distserve")
WIRE = {"wire": assumed_wire(20e9), "kv_bytes": 819_200}
POWER_LAW, EQUAL = "power law", "equal"


def scenario(rate_per_s, seed, n, lengths=POWER_LAW, replicas=8):
    rng = stream(seed, "migration")
    arrived_s = np.cumsum(rng.exponential(1.0, n)) / rate_per_s
    prompt, output = np.full(n, 256), np.full(n, 128)
    if lengths == POWER_LAW:
        prompt = np.clip(np.round(64 * rng.pareto(1.1, n)), 16, 6000)
        output = np.clip(np.round(64 * rng.pareto(1.1, n)), 8, 4000)
    engine = Deployment("a100", kv_blocks=1000)
    trace = trace_of(arrived_s, prompt, output)
    return fleet_of(trace, CALIBRATION.step_time, engine, replicas, **WIRE)


def both(exam):
    """Runs without and with migration."""
    policies = DispatchOnly(router("llumnix")), router("llumnix")
    return [simulate_fleet(exam, policy, fast) for policy in policies]


def tail_ps(exam, run):
    """P99 over requests of the mean time per later token."""
    later = np.maximum(exam.trace.output_tokens - 1, 1)
    return np.quantile((run.finished_ps - run.first_token_ps) / later, 0.99)


def gains(seed, n):
    """Off over on: time stalled by preemptions and migrations, P99 time per token."""
    exam = scenario(30, seed, n)
    off, on = both(exam)
    stalls = off.stall_ps.sum() / on.stall_ps.sum()
    return stalls, tail_ps(exam, off) / tail_ps(exam, on)


def median_gains(n):
    return np.median([gains(seed, n) for seed in range(5)], axis=0)


def test_migration_saves_stalls_under_memory_pressure():
    stalls, tails = median_gains(n=1000)
    assert stalls >= 3
    assert tails >= 1


@pytest.mark.slow
def test_migration_shortens_the_tail_in_a_longer_run():
    stalls, tails = median_gains(n=2000)
    assert stalls >= 3
    assert 1.05 <= tails <= 2.5


def test_migration_gains_nothing_for_equal_lengths_at_half_load():
    """Control 3."""
    exam = scenario(60, 0, 800, EQUAL)
    off, on = both(exam)
    spent = [(run.finished_ps - run.arrived_ps).mean() for run in (off, on)]
    assert abs(spent[0] / spent[1] - 1) < 0.02


class MoveOnce:
    """Moves the first request that it sees, once it has emitted some tokens."""

    migrate_every_s = 0.5

    def __init__(self):
        self.left = 1

    def migrate(self, requests, replicas):
        moves, self.left = self.left, 0
        return [(0, 1 - requests.replica[0])] * moves


@pytest.mark.parametrize("prompt", [100, 1000, 10_000])
def test_downtime_is_at_most_two_steps_for_any_length(prompt):
    exam = scenario(1.0, 0, 1, EQUAL, replicas=2)
    trace = trace_of([0.0], prompt, 300)
    still, moved = (
        simulate_fleet(
            fleet_of(trace, CALIBRATION.step_time, exam.deployment, 2, **WIRE),
            policy,
            fast,
        )
        for policy in (None, MoveOnce())
    )
    assert moved.replica.tolist() == [1 - still.replica[0]]
    assert len(moved.broken_gaps_ps) == 1
    assert moved.broken_gaps_ps[0] <= 2 * still.longest_gap_ps[0]
