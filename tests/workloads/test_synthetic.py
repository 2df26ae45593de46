"""The generator: laws of every draw, and the statistics it was fitted to."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.scenario import Split
from evaluators.workloads.arrivals import POISSON, Gamma, OnOff
from evaluators.workloads.lengths import CODE, CONVERSATION
from evaluators.workloads.statistics import statistics
from evaluators.workloads.synthetic import build

SPLITS: tuple[Split, ...] = ("train", "validation", "held_out")
COLUMNS = ("arrived_ps", "prompt_tokens", "output_tokens", "predicted_tokens")
COLUMNS += ("tenant", "slo_class")


def equal(first, second, columns=COLUMNS):
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in columns
    )


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(SPLITS),
    st.integers(0, 2**31),
    st.floats(0.01, 1000),
    st.integers(1, 300),
    st.integers(1, 12),
)
def test_a_draw_has_the_asked_size_and_rate_and_is_drawn_the_same_again(
    split, seed, rate, n, tenants
):
    workload = build(tenants=tenants)
    trace = workload.draw(split, seed, rate, n)
    assert len(trace) == n
    assert n == 1 or trace.duration_s == pytest.approx(n / rate, rel=1e-9)
    assert trace.tenant.max() < tenants
    assert equal(trace, workload.draw(split, seed, rate, n))


def test_splits_and_seeds_share_no_draws():
    workload = build()
    traces = [
        workload.draw(split, seed, 5.0, 200) for split in SPLITS for seed in (0, 1)
    ]
    for first, second in combinations(traces, 2):
        for column in COLUMNS:
            assert not equal(first, second, (column,))
        assert not set(first.arrived_ps[1:-1]) & set(second.arrived_ps[1:-1])


def test_the_rate_scales_time_and_changes_nothing_else():
    slow, fast = (build().draw("train", 3, rate, 300) for rate in (2.0, 8.0))
    assert equal(slow, fast, COLUMNS[1:])
    np.testing.assert_allclose(slow.arrived_ps, fast.arrived_ps * 4, atol=4)


def test_tenants_are_skewed_and_each_is_different():
    trace = build().whole(0)
    shares = statistics(trace).tenant_shares
    assert len(shares) >= 4
    assert all(more > less for more, less in pairwise(shares))
    assert shares[0] / shares[3] == pytest.approx(4**1.1, rel=0.1)
    means = [trace.prompt_tokens[trace.tenant == i].mean() for i in range(4)]
    assert max(means) > 4 * min(means)


def test_both_classes_are_asked_for_and_documents_only_by_the_relaxed():
    trace = build().whole(0)
    assert 0.2 < trace.slo_class.mean() < 0.5
    assert (trace.slo_class[trace.prompt_tokens == 16384] == 1).mean() > 0.9


def test_predictions_have_the_stated_error_and_no_bias():
    trace = build(prediction_error=0.7).whole(0)
    is_long = trace.output_tokens > 50
    errors = np.log(trace.predicted_tokens / trace.output_tokens)[is_long]
    assert errors.std() == pytest.approx(0.7, rel=0.05)
    assert abs(errors.mean()) < 0.02


def test_a_predictor_without_error_knows_the_length():
    trace = build(prediction_error=0.0).draw("train", 0, 1.0, 200)
    assert np.array_equal(trace.predicted_tokens, trace.output_tokens)


@pytest.mark.parametrize(
    ("lengths", "mean", "p50", "p99"),
    [
        (CONVERSATION.prompt, 1154.7, 1020, 4142),
        (CONVERSATION.output, 211.1, 129, 601),
        (CODE.prompt, 2047.8, 1469, 7436),
        (CODE.output, 27.9, 13, 251),
    ],
)
def test_lengths_have_the_statistics_of_the_azure_traces(lengths, mean, p50, p99):
    tokens = lengths.draw(np.linspace(0, 1, 100_001))
    assert tokens.mean() == pytest.approx(mean, rel=0.1)
    assert np.median(tokens) == pytest.approx(p50, rel=0.01)
    assert np.percentile(tokens, 99) == pytest.approx(p99, rel=0.01)


@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_gamma_gaps_have_the_stated_variation(cv):
    gaps = np.diff(Gamma(cv).draw(50_000, np.random.default_rng(1)))
    assert gaps.mean() == pytest.approx(1, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_bursts_have_the_stated_rate_and_are_burstier_than_poisson():
    rng = np.random.default_rng(1)
    bursts = OnOff(burst=16, duty=0.2).draw(50_000, rng)
    assert bursts[-1] == pytest.approx(50_000, rel=0.1)
    assert np.all(np.diff(bursts) >= 0)
    dispersions = [
        (lambda counts: counts.var() / counts.mean())(np.bincount((t / 50).astype(int)))
        for t in (bursts, POISSON.draw(50_000, rng))
    ]
    assert dispersions[0] > 10
    assert dispersions[1] < 1.5


def test_a_busy_tenant_in_bursts_makes_queues_that_poisson_does_not():
    calm, bursty = (build(arrivals=kind).whole(0) for kind in ("poisson", "bursts"))
    assert statistics(calm).dispersion[1] == pytest.approx(1, abs=0.3)
    assert statistics(bursty).dispersion[1] > 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tenants": 0}, "tenants is 0; expected at least 1"),
        ({"arrivals": "poison"}, "arrivals is 'poison'; expected mixed, poisson"),
        ({"arrivals": "gamma", "cv": 0.0}, "cv of gaps is 0.0; expected above 0"),
        ({"burst_duty": 1.5}, "1.5 of the time; expected above 0"),
    ],
)
def test_an_impossible_option_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize(("rate", "n"), [(0.0, 5), (float("inf"), 5), (1.0, 0)])
def test_an_impossible_draw_is_refused(rate, n):
    with pytest.raises(ValueError, match="expected"):
        build().draw("train", 0, rate, n)
