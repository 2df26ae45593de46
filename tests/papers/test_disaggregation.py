"""R5: prompts and answers on separate GPUs, against both on each.

Paper: Y. Zhong et al., "DistServe: Disaggregating Prefill and Decoding for
Goodput-optimized Large Language Model Serving", OSDI 2024, motivating example.
Set-up: OPT-13B on A100s, prompts of 512 and answers of 64 tokens, Poisson arrivals,
TTFT 200 ms and TPOT 40 ms for 90 % of requests; KV of 0.82 MB a token at 20 GB/s (an
assumed wire). Two prefill instances, one prompt at a time, least loaded first, and one
decode instance, with the coefficients that DistServe published for its own engine;
against one instance that computes whole prompts first (seed ``fcfs_prefill_first``),
with the same coefficients or with those of vLLM. Goodput is per GPU.
Published: 3.3 against 1.6 req/s per GPU, 2.1x. An independent simulator gave 1.58x
(1.56-1.78) with equal coefficients and 2.8x (2.7-3.2) with vLLM's; 6.0 req/s per GPU
with two prefill instances and 2.8 with two decode ones. Measured here: 6.1 and 2.4,
1.5x (1.4-1.6) and 2.8x (2.6-3.0).
Honesty check: an instance that computes chunks of 512 or 256 tokens beside its decodes
(3.4-3.6 and 1.9-2.8 req/s) is no stronger a baseline here (prefill first 3.6-3.8): a
step with 512 prompt tokens takes 72 ms where 40 are allowed.
Control 1: at low load and with a weak network, disaggregation loses to chunked prefill
on every GPU.
"""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.fleet import Fleet, Member, assumed_wire
from evaluators.rng import stream
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from tests.papers.routers import ANY
from tests.problems.builders import source, trace_of

OWN, VLLM = load("opt13b_a100_distserve"), load("opt13b_a100_vllm")
PREFILL_FIRST = {"scheduling": source("fcfs_prefill_first")}
TTFT_S, TPOT_S, OUTPUT = 0.2, 0.04, 64
WIRE = 20e9


def member(role, step_tokens, calibration=OWN):
    engine = Deployment(
        "a100", calibration.kv_blocks, max_running=128, max_step_tokens=step_tokens
    )
    return Member(engine, calibration.step_time, role)


def apart(prefill, decode):
    """Prefill instances that take one prompt a step, and decode instances."""
    return (member("prefill", 512),) * prefill + (member("decode", 2048),) * decode


def exam(members, rate_per_s, n, seed=0, prompt=512, wire=WIRE, companions=None):
    arrived_s = np.cumsum(stream(seed, "distserve").exponential(1.0, n)) / rate_per_s
    fleet = Fleet(
        members, rule="least_outstanding", wire=assumed_wire(wire), kv_bytes=819_200
    )
    return Scenario(
        name="distserve",
        split="train",
        regime=1.0,
        trace=trace_of(arrived_s, prompt, OUTPUT),
        deployment=members[0].deployment,
        step_time=members[0].step_time,
        classes=(ANY,),
        calibration="published coefficients",
        companions=companions or {},
        fleet=fleet,
    )


def goodput(members, n, precision, **options):
    """Highest rate per GPU at which 90 % of requests keep both objectives."""
    low, high = 0.5, 16.0
    while high / low > precision:
        rate = (low * high) ** 0.5
        run = simulate_fleet(
            exam(members, rate * len(members), n, **options), None, fast
        )
        ttft_s = (run.first_token_ps - run.arrived_ps) / 1e12
        tpot_s = (run.finished_ps - run.first_token_ps) / 1e12 / (OUTPUT - 1)
        kept = np.mean((ttft_s <= TTFT_S) & (tpot_s <= TPOT_S)) >= 0.9
        low, high = (rate, high) if kept else (low, rate)
    return low


def together(calibration, n, precision, seed=0):
    members = (member("mixed", 2048, calibration),)
    options = {"companions": PREFILL_FIRST, "seed": seed}
    return goodput(members, n, precision, **options)


def test_two_prefill_instances_for_one_decode_instance_serve_more():
    ours = goodput(apart(2, 1), n=300, precision=1.05)
    assert 5.5 <= ours <= 6.6
    assert goodput(apart(1, 2), n=300, precision=1.05) < ours / 2
    assert 1.3 <= ours / together(OWN, n=150, precision=1.1) <= 3.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calibration", "low", "high"), [(OWN, 1.3, 2.0), (VLLM, 2.2, 3.5)]
)
def test_goodput_of_separate_phases_is_as_published(calibration, low, high):
    gains = [
        goodput(apart(2, 1), 600, 1.03, seed=seed)
        / together(calibration, 400, 1.03, seed)
        for seed in range(5)
    ]
    assert low <= np.median(gains) <= high


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_separate_phases_beat_the_best_of_whole_and_chunked_prompts(seed):
    chunked = [
        goodput((member("mixed", tokens),), 400, 1.03, seed=seed)
        for tokens in (512, 256)
    ]
    best = max(together(OWN, 400, 1.03, seed), *chunked)
    assert 1.3 <= goodput(apart(2, 1), 400, 1.03, seed=seed) / best <= 3.5


@pytest.mark.parametrize("prompt", [512, 2048])
def test_separate_phases_lose_at_low_load_over_a_weak_network(prompt):
    """Control 1: 25 Gb/s."""
    weak = {"prompt": prompt, "wire": 25e9 / 8}
    fleets = apart(2, 1), (member("mixed", 512),) * 3
    runs = [
        simulate_fleet(exam(members, 1.0, 100, **weak), None, fast)
        for members in fleets
    ]
    spent = [(run.finished_ps - run.arrived_ps).mean() for run in runs]
    assert spent[0] > 1.1 * spent[1]
