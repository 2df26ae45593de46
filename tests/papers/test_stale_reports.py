"""R15: probing until a replica accepts, against trusting reports that have aged.

Paper: Y. Jin et al., "P/D-Serve: Serving Disaggregated Large Language Model at Scale",
2024.
Set-up: eight instances of OPT-13B on A100s that compute prompts of 2,048 tokens, 0.26 s
each and one at a time, Poisson arrivals at 70 % of what they can do; replicas report at
multiples of 0 to 4 times that. The seed ``pd_serve_probe`` (1 ms a rejection)
against the least reported queue of prompt tokens.
Published: 42 % more requests within their TTFT objective, 60 % more throughput, of
which forwarding on demand is a part. The check: probing wins if and only if reports are
about as old as a prefill takes, and nothing at 0 ms.
It holds in what the paper reports, the share of requests within a TTFT objective: 2 s,
the relaxed class that ships with the judge (MLPerf Inference v5.1), which is eight
prefills. Points gained by probing, three seeds of 1,000 requests, by age in prefills:
  instances    0     0.25   0.5      0.75     1        1.5       2         4
          4    0     0      0        0        0 to 0   1 to 2    2 to 3    16 to 21
          8    0     0      0 to 0   1 to 2   3 to 5   13 to 15  25 to 29  60 to 64
Mean TTFT shows less patience: what one queues behind another costs at once, long before
it costs an objective. By reports over by probes, for reports as old as 0, 0.04, 0.1,
0.4, 1 and 4 prefills, it is 1.00, 1.06, 1.19, 1.8, 3.1 and 9.4. Reports mislead once
several requests go by the same one, and between two arrivals of eight replicas there is
only 1 / (0.7 * 8) = 0.18 of a prefill. With two replicas a gain of 1.2 needs 1.1
prefills, with four 0.3, with sixteen 0.05: 0.5 to 1.6 arrivals a report. Fleets of 2 to
16 gain less than 1.15 (1.02 to 1.12) by a quarter of an arrival a report and more than
1.2 (1.3 to 1.9) by two; by one prefill all of them gain, two replicas 1.17.
A router that counts what it sent itself since the report misses nothing here, however
old the report: 0.96 to 1.05 (prompts are equal, and it is the only one). Role ratios
belong to the fleet problem; transfers by block and in one piece are in
``test_contiguous_transfer.py``.
"""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.fleet import duration_ps
from evaluators.rng import stream
from evaluators.scenario import Deployment
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.workloads.trace import PS_PER_S
from tests.papers.routers import fleet_of, router
from tests.problems.builders import trace_of

CALIBRATION = load("opt13b_a100_distserve")
PROMPT, LOAD = 2048, 0.7
OBJECTIVE_S = 2.0
PREFILL_S = duration_ps(CALIBRATION.step_time, PROMPT) / 1e12


class LeastReported:
    def route(self, request, replicas):
        return np.argmin(replicas.queued_tokens)


def first_tokens_s(prefills, seed, replicas, n):
    """By reports as old as so many prefills, and by probes, shape (2, n)."""
    gap_s = PREFILL_S / (LOAD * replicas)
    gaps = stream(seed, "stale reports").exponential(1.0, n)
    trace = trace_of(np.cumsum(gaps) * gap_s, PROMPT, 1)
    engine = Deployment("a100", CALIBRATION.kv_blocks, max_step_tokens=PROMPT)
    rules = {"report_delay_s": prefills * PREFILL_S, "probe_s": 0.001}
    exam = fleet_of(trace, CALIBRATION.step_time, engine, replicas, **rules)
    policies = LeastReported(), router("pd_serve_probe", rounds=8)
    runs = [simulate_fleet(exam, policy, fast) for policy in policies]
    return np.array([run.first_token_ps - run.arrived_ps for run in runs]) / PS_PER_S


def gain(prefills, seed, replicas=8, n=400):
    """Mean TTFT by reports over that by probes."""
    by_reports, by_probes = first_tokens_s(prefills, seed, replicas, n).mean(axis=1)
    return by_reports / by_probes


def points(prefills, seed, replicas=8, n=1000):
    """Share within the objective by probes, less that by reports, in percent."""
    waits_s = first_tokens_s(prefills, seed, replicas, n)
    by_reports, by_probes = 100 * (waits_s <= OBJECTIVE_S).mean(axis=1)
    return by_probes - by_reports


def median_gain(prefills, replicas=8):
    return np.median([gain(prefills, seed, replicas) for seed in range(3)])


@pytest.mark.parametrize(("prefills", "least", "most"), [(0.5, -0.5, 0.5), (1, 2, 8)])
def test_probing_keeps_more_objectives_once_reports_are_as_old_as_a_prefill(
    prefills, least, most
):
    assert least <= points(prefills, 0) <= most


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_it_does_so_on_every_seed_and_not_before(seed):
    assert [points(age, seed) for age in (0, 0.25, 0.5)] == pytest.approx(
        [0] * 3, abs=1
    )
    assert points(1, seed) > 2
    assert points(2, seed) > 20


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "too_young", "old"), [(4, 1, 2), (16, 0.25, 1)])
def test_it_does_so_within_a_factor_of_four_in_other_fleets(replicas, too_young, old):
    assert points(too_young, 0, replicas) == pytest.approx(0, abs=1)
    assert points(old, 0, replicas) > 1.5


@pytest.mark.parametrize(
    ("prefills", "least", "most"),
    [(0, 0.95, 1.05), (0.04, 0.95, 1.1), (1, 2.5, 4)],
)
def test_probing_wins_the_more_the_older_the_reports(prefills, least, most):
    assert least <= median_gain(prefills) <= most


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_gain_grows_with_the_age_of_reports_on_every_seed(seed):
    ages = (0, 0.1, 0.4, 1, 4)
    assert (np.diff([gain(prefills, seed) for prefills in ages]) > 0.05).all()


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 4, 8, 16])
def test_reports_mislead_once_several_arrivals_go_by_the_same_one(replicas):
    arrivals_a_prefill = LOAD * replicas
    assert median_gain(0.25 / arrivals_a_prefill, replicas) < 1.15
    assert median_gain(2 / arrivals_a_prefill, replicas) > 1.2


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "least"), [(2, 1.1), (4, 1.5), (8, 2.5)])
def test_reports_as_old_as_a_prefill_mislead_every_fleet(replicas, least):
    assert median_gain(1, replicas) >= least
