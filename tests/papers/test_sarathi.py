"""R2, R3: chunked prefills against whole prompts first, and what they cost.

Paper: A. Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with
Sarathi-Serve", OSDI 2024.
Set-up: OPT-13B on one A100 with the coefficients that DistServe published for vLLM,
Poisson arrivals, lognormal lengths like ShareGPT's ("long": like arXiv summaries).
``sarathi`` (512 tokens a step, or 2,048 where the objective is relaxed) against
``fcfs_prefill_first`` (whole prompts up to 2,048 tokens, decodes pause), both as
shipped in seeds. TBT is the time between two tokens of a request.
Published: generation stalls disappear; capacity 2.6x (Mistral-7B) to 6.9x at a strict
P99 TBT. An independent simulator of the same set-up gave: P99 TBT 2.5x shorter at
2 req/s and 3.6x at 3 req/s, longest stall 9-11x shorter, median TTFT 1.2-1.6x worse;
capacity at 200 ms 3.0x (long 1.9x), at 500 ms 1.24x (long 1.53x).
Here KV memory is paged with preemption where that simulator reserves the whole answer.
"""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.metrics import latencies
from evaluators.quantiles import gap_summary
from evaluators.rng import stream
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.sim.engine import simulate
from tests.problems.builders import policy, trace_of

SEEDS = range(5)
CALIBRATION = load("opt13b_a100_vllm")
ANY = ServiceClass("any", 10.0, 1.0, 10.0, "the paper's limits are per check")
STRICT, RELAXED = (0.2, 512), (0.5, 2048)
"""P99 TBT objective in seconds with the step tokens that Sarathi-Serve uses for it."""
LENGTHS = {
    "sharegpt": ((5.9, 1.1, 8, 1900), (5.0, 0.9, 4, 1000)),
    "long": ((8.2, 0.6, 256, 8000), (5.2, 0.5, 8, 600)),
}


def scenario(rate_per_s, seed, n, lengths="sharegpt"):
    rng = stream(seed, "sarathi")
    arrived_s = np.cumsum(rng.exponential(1.0, n)) / rate_per_s
    prompt, output = (
        np.clip(np.round(rng.lognormal(mu, sigma, n)), low, high)
        for mu, sigma, low, high in LENGTHS[lengths]
    )
    return Scenario(
        name="sarathi",
        split="train",
        regime=1.0,
        trace=trace_of(arrived_s, prompt, output),
        deployment=Deployment("a100", CALIBRATION.kv_blocks, max_running=128),
        step_time=CALIBRATION.step_time,
        classes=(ANY,),
        calibration=CALIBRATION.name,
    )


def served(name, exam, chunk=None):
    subject = policy(name)
    if chunk:
        subject.chunk = chunk
    return simulate(exam, subject)


def gains(rate_per_s, seed, n=400):
    """Prefill-first over Sarathi: P99 TBT, longest stall; and Sarathi's TTFT over."""
    exam = scenario(rate_per_s, seed, n)
    sarathi, whole = (served(name, exam) for name in ("sarathi", "fcfs_prefill_first"))
    ttft = [np.median(latencies(exam, run).ttft_s) for run in (sarathi, whole)]
    return (
        gap_summary(whole)["p99"] / gap_summary(sarathi)["p99"],
        whole.longest_gap_ps.max() / sarathi.longest_gap_ps.max(),
        ttft[0] / ttft[1],
    )


@pytest.fixture(scope="module", params=[2.0, 3.0])
def r2(request):
    """R2's ratios, a row for each seed."""
    return np.array([gains(request.param, seed) for seed in SEEDS])


def test_r2_chunks_shorten_the_tail_between_tokens(r2):
    assert (r2[:, 0] > 1).all()
    assert 1.8 <= np.median(r2[:, 0]) <= 5


def test_r2_chunks_remove_generation_stalls(r2):
    assert (r2[:, 1] > 1).all()
    assert np.median(r2[:, 1]) >= 5


def test_control_2_chunks_never_improve_the_median_ttft_at_equal_load(r2):
    assert (r2[:, 2] > 1).all()


def meets(name, objective, exam):
    tbt_s, chunk = objective
    run = served(name, exam, chunk if name == "sarathi" else None)
    ttft = np.median(latencies(exam, run).ttft_s)
    return gap_summary(run)["p99"] <= tbt_s and ttft < 2.0


def capacity(name, objective, seed, n, lengths):
    """Highest rate, to 8 %, with P99 TBT in the objective and median TTFT below 2 s."""
    low, high = 0.05, 20.0
    while high / low > 1.08:
        rate = np.sqrt(low * high)
        if meets(name, objective, scenario(rate, seed, n, lengths)):
            low = rate
        else:
            high = rate
    return low


def capacity_gains(objective, n, lengths, seeds):
    return np.array([
        capacity("sarathi", objective, seed, n, lengths)
        / capacity("fcfs_prefill_first", objective, seed, n, lengths)
        for seed in seeds
    ])


def check_capacity(n, lengths, seeds=SEEDS):
    strict, relaxed = (capacity_gains(o, n, lengths, seeds) for o in (STRICT, RELAXED))
    assert (strict > relaxed).all()
    assert (relaxed >= 1).all()
    assert 1.7 <= np.median(strict) <= 7
    assert 1.0 <= np.median(relaxed) <= 2.5


@pytest.mark.slow
def test_r3_chunks_raise_capacity_the_more_the_stricter_the_objective():
    check_capacity(100, "long", range(3))


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS)
def test_r3_chunks_raise_capacity_on_long_runs(lengths):
    check_capacity(1000, lengths)
