"""R9: moving running requests between instances while they go on decoding.

Paper: B. Sun et al., "Llumnix: Dynamic Scheduling for Large Language Model Serving",
OSDI 2024.
Set-up: OPT-13B on A100s with DistServe's coefficients, 8 instances of 16,000 tokens of
KV each, Poisson arrivals, dispatch by freeness; prompts and answers of 72 x Pareto(1.1)
tokens, which is 250 in the mean and at most 6,000, like the paper's medium power law
(256, 6,000; memory of 13,616 tokens). KV of 0.82 MB a token travels at 20 GB/s, an
assumed wire. Migration on: the seed ``llumnix``; off: its dispatch alone. One quantity
is chosen: the rate, so that without migration requests that decode need 85 % of memory.
Published: preemption stalls about 100x shorter, P99 per-token latency up to 2x; 36 %
fewer instances with autoscaling, which is the fleet problem's.
Measured here, medians of 5 seeds:
  needed by decoding          45 %   53 %   61 %   69 %   77 %   83 %   87 %   91 %
  4,000 requests
    preempted without moves                        0.4 %  2.6 %  4.3 %
    stalls shorter by         300x   59x    52x    11x    2.5x   2.0x
    P99 time per token        1.00   1.04   1.04   0.95   1.02   1.12
  2,000 requests
    stalls shorter by                                            3.6x   5.5x   2.2x
    P99 time per token                                           1.19   1.21   1.36
So both bands, 3x and [1.05, 2.5], are met at 83 and 87 % only, and by runs of 2,000
requests; in longer ones the first holds up to 69 %. The reason is the room that moves
need. Answers of 6,000 tokens last minutes, so that the load of the whole fleet swings:
in a run at 77 % most stalls fall into one minute, in which what is running would need
95 to 117 % of all memory, and nobody has any to move to. Where there is room, fewer
than 1 % of requests are preempted, so that no P99 over requests can gain. Moving
several requests at once until both replicas are even changes little (4,000 requests at
69, 77 and 83 %: 4.1x, 2.2x and 2.2x, tail 1.00, 1.09 and 1.13). Lengths as
in ShareGPT leave no window at all: at 61 % nobody is preempted, at 94 % all replicas
are full (1.0x, 1.00).
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
        prompt = np.clip(np.round(72 * rng.pareto(1.1, n)), 16, 6000)
        output = np.clip(np.round(72 * rng.pareto(1.1, n)), 8, 6000)
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


def needed(exam, run):
    """Share of KV memory that requests need between first and last token.

    From the first quarter of arrivals to the last one, each at its mean length:
    Little's law, which knows nothing of blocks.
    """
    trace = exam.trace
    since, until = trace.arrived_ps[len(trace) // 4], trace.arrived_ps[-1]
    spent = np.clip(run.finished_ps, since, until)
    spent = spent - np.clip(run.first_token_ps, since, until)
    tokens = trace.prompt_tokens + trace.output_tokens / 2
    memory = sum(16 * m.deployment.kv_blocks for m in exam.fleet.members)
    return (spent * tokens).sum() / (until - since) / memory


def measured(rate_per_s, seed, n=2000):
    """Memory needed and share preempted without moves; off over on: stalls, tail."""
    exam = scenario(rate_per_s, seed, n)
    off, on = both(exam)
    stalls = off.stall_ps.sum() / max(1, on.stall_ps.sum())
    tails = tail_ps(exam, off) / tail_ps(exam, on)
    return needed(exam, off), (off.preemptions > 0).mean(), stalls, tails


def medians(rate_per_s, seeds, n=2000):
    return np.median([measured(rate_per_s, seed, n) for seed in seeds], axis=0)


def check_high_load(rate_per_s, seeds):
    memory, preempted, stalls, tails = medians(rate_per_s, seeds)
    assert 0.8 <= memory <= 0.9
    assert preempted > 0.01
    assert stalls >= 3
    assert 1.05 <= tails <= 2.5


def test_migration_saves_stalls_and_shortens_the_tail_in_a_full_memory():
    check_high_load(20, range(2))


@pytest.mark.slow
@pytest.mark.parametrize("rate_per_s", [18, 20])
def test_migration_does_so_on_more_seeds_and_at_another_rate(rate_per_s):
    check_high_load(rate_per_s, range(5))


@pytest.mark.slow
def test_stalls_fall_in_long_runs_as_long_as_there_is_room():
    memory, preempted, stalls, _ = medians(10, range(5), 4000)
    assert 0.65 <= memory <= 0.75
    assert 0 < preempted < 0.01
    assert stalls >= 3


@pytest.mark.slow
def test_the_tail_gains_nothing_where_half_the_memory_is_free():
    memory, preempted, _, tails = medians(8, range(5))
    assert 0.4 <= memory <= 0.6
    assert preempted < 0.01
    assert tails == pytest.approx(1, abs=0.05)


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
