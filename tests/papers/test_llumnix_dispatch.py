"""R8: dispatch by free memory for what runs, against turns, queue length and memory.

Paper: B. Sun et al., "Llumnix: Dynamic Scheduling for Large Language Model Serving",
OSDI 2024.
Set-up: OPT-13B on A100s with DistServe's coefficients, 8 instances of 16,000 tokens of
KV each, Poisson arrivals, prompts and answers of 16 x Pareto(1.1) tokens (at least 16
and 8, at most 6,000 and 2,000); no migration, fresh reports. Routers as in seeds:
``round_robin``, ``least_outstanding`` (queue), ``least_kv``, ``llumnix`` (freeness).
Published: P99 TTFT 12.1x shorter than round robin's and 9.1x than by queue size (the
project's own figures, with migration). An independent simulator of this set-up gave
medians over 5 seeds of 687 > 352 > 198 > 173 ms at 85 req/s, 2102 > 1239 > 312 > 230
at 150; seeds differ widely, so that only medians are compared. Measured here, with
4,000 requests each: 609 > 322 > 202 > 183 ms at 85, 820 > 371 > 271 > 195 at 150.
Here prompts are chunked at 2,048 tokens where whole prompts pause all decodes there:
waits behind long prompts are shorter, and so are the ratios.
"""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.rng import stream
from evaluators.scenario import Deployment
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from tests.papers.routers import DispatchOnly, fleet_of, router
from tests.problems.builders import trace_of

CALIBRATION = load("opt13b_a100_distserve")
ROUTERS = ("round_robin", "least_outstanding", "least_kv", "llumnix")
SEEDS = range(5)


def scenario(rate_per_s, seed, n):
    rng = stream(seed, "llumnix")
    arrived_s = np.cumsum(rng.exponential(1.0, n)) / rate_per_s
    prompt = np.clip(np.round(16 * rng.pareto(1.1, n)), 16, 6000)
    output = np.clip(np.round(16 * rng.pareto(1.1, n)), 8, 2000)
    engine = Deployment("a100", kv_blocks=1000)
    trace = trace_of(arrived_s, prompt, output)
    return fleet_of(trace, CALIBRATION.step_time, engine, 8)


def tails_ms(rate_per_s, n):
    """P99 TTFT, a row for each seed and a column for each router."""
    return np.array([
        [p99_ms(scenario(rate_per_s, seed, n), name) for name in ROUTERS]
        for seed in SEEDS
    ])


def p99_ms(exam, name):
    run = simulate_fleet(exam, DispatchOnly(router(name)), fast)
    return np.quantile(run.first_token_ps - run.arrived_ps, 0.99) / 1e9


def check_order(tails):
    turns, queue, memory, freeness = np.median(tails, axis=0)
    assert turns > queue > memory > freeness


@pytest.mark.slow
def test_freeness_beats_memory_beats_queue_beats_turns():
    tails = tails_ms(150, n=1200)
    check_order(tails)
    assert 2 <= np.median(tails[:, 0] / tails[:, 3]) <= 20
    assert np.median(tails[:, 1] / tails[:, 3]) >= 1.2


@pytest.mark.slow
@pytest.mark.parametrize(("rate_per_s", "least"), [(85, 2), (130, 3), (150, 3)])
def test_freeness_wins_at_every_load_of_the_check(rate_per_s, least):
    tails = tails_ms(rate_per_s, n=4000)
    check_order(tails)
    assert least <= np.median(tails[:, 0] / tails[:, 3]) <= 20
