"""Generators: each is what its options say, and refuses what cannot be."""

import os
import sys

import numpy as np
import pytest

from evaluators.workloads import (
    agents,
    conversations,
    documents,
    empirical,
    hot_prefix,
    power_law,
    priorities,
    reasoning,
    servegen,
    tidal,
)
from evaluators.workloads.lengths import CODE
from evaluators.workloads.statistics import statistics
from tests.workloads import samples

DATA = os.environ.get("ADRS_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="ADRS_DATA names no folder with the public traces"
)


def first_blocks(trace):
    """Rows by the content that they begin with, most common first."""
    starts = trace.prefixes.ids[trace.prefixes.offsets[:-1]]
    counts = np.bincount(starts)
    return np.sort(counts[counts > 0])[::-1]


def test_one_prompt_begins_the_asked_share_of_requests():
    trace = hot_prefix.build(share=0.6).draw("train", 0, 5.0, 4000)
    counts = first_blocks(trace)
    assert counts[0] / 4000 == pytest.approx(0.6, abs=0.03)
    assert counts[1] / counts[10] == pytest.approx(10**0.8, rel=0.5)
    assert len(counts) <= 201
    hot = np.flatnonzero(trace.prefixes.ids == 0)[:2]
    assert np.array_equal(*(trace.prefixes.ids[at : at + 128] for at in hot))


def test_every_document_has_its_questions_and_all_are_there_at_once():
    trace = documents.build(questions=8).draw("train", 0, 5.0, 800)
    assert first_blocks(trace).tolist() == [8] * 100
    assert not trace.arrived_ps.any()
    assert trace.slo_class.all()
    assert np.median(trace.prompt_tokens) == pytest.approx(2200, rel=0.1)
    assert np.median(trace.output_tokens) == pytest.approx(100, rel=0.1)


def test_power_law_lengths_are_mostly_least_and_sometimes_most():
    trace = power_law.build().draw("train", 0, 5.0, 20_000)
    for tokens, least, most in (
        (trace.prompt_tokens, 16, 6000),
        (trace.output_tokens, 8, 2000),
    ):
        assert (tokens.min(), tokens.max()) == (least, most)
        for length in (100, 1000):
            tail = (1 + length / 16) ** -1.1
            assert (tokens >= length).mean() == pytest.approx(tail, rel=0.2)


def test_tides_change_who_comes_and_not_how_many():
    trace = tidal.build(high="code", low="reasoning", swing=1.0, tides=1.0).whole(0)
    parts = np.array_split(np.arange(len(trace)), 20)
    means = [trace.prompt_tokens[rows].mean() for rows in parts]
    code = CODE.prompt.draw(np.linspace(0, 1, 10_001)).mean()
    assert means[0] == pytest.approx(code, rel=0.15)
    outputs = [np.median(trace.output_tokens[rows]) for rows in parts]
    assert outputs[0] < 20
    assert outputs[-1] < 20
    assert min(outputs[9:11]) > 400
    assert statistics(trace).gap_cv == pytest.approx(1, abs=0.05)


def test_reasoning_answers_are_between_least_and_most():
    outputs = reasoning.build().draw("train", 0, 1.0, 5000).output_tokens
    assert 2048 <= outputs.min() < 2100
    assert 16_000 < outputs.max() <= 16_384
    assert np.median(outputs) == pytest.approx((2048 * 16384) ** 0.5, rel=0.05)


@pytest.mark.parametrize(("pattern", "stays"), [("random", 1 / 4), ("markov", 0.85)])
def test_priorities_change_as_the_pattern_says(pattern, stays):
    trace = priorities.build(pattern=pattern, period_s=0.5).draw("train", 0, 1.0, 500)
    levels = trace.priorities.levels
    assert levels.shape[0] * 0.5 >= 2 * trace.duration_s
    assert set(np.unique(levels)) == {0, 1, 2, 3}
    assert (np.diff(levels, axis=0) == 0).mean() == pytest.approx(stays, abs=0.02)


def test_a_slower_draw_goes_on_with_the_priorities_of_a_faster_one():
    fast, slow = (
        priorities.build().draw("train", 0, rate, 500).priorities.levels
        for rate in (8.0, 2.0)
    )
    assert np.array_equal(slow[: len(fast)], fast)
    assert len(slow) > 3 * len(fast)


def test_lengths_are_pairs_of_the_file_and_of_the_split_s_rows(tmp_path):
    samples.sharegpt(tmp_path)
    workload = empirical.build(data=str(tmp_path), most_tokens=600)
    drawn = {}
    for split in ("train", "validation"):
        trace = workload.draw(split, 0, 1.0, 500)
        assert np.array_equal(trace.output_tokens, trace.prompt_tokens + 10)
        drawn[split] = set(trace.prompt_tokens.tolist())
    assert max(drawn["train"]) < 250 <= min(drawn["validation"])
    assert max(drawn["validation"]) <= 295
    with pytest.raises(ValueError, match="no pair of up to 600 tokens"):
        workload.draw("held_out", 0, 1.0, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "has columns .*'a'.*; expected ContextTokens"),
        ("ContextTokens,GeneratedTokens\n1,x\n", "row 1: .* are 1, x; expected whole"),
    ],
)
def test_a_file_of_other_columns_is_refused(tmp_path, text, message):
    (tmp_path / "sharegpt.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        empirical.build(data=str(tmp_path)).draw("train", 0, 1.0, 1)


@needs_data
@pytest.mark.parametrize(
    ("trace", "prompt", "output"),
    [
        ("sharegpt", (298.8, 36, 3473), (323.7, 280, 999)),
        ("lmsys", (92.2, 28, 750), (207.4, 140, 850)),
        ("arxiv_summarization", (2588, 2730, 3933), (291, 167, 3271)),
    ],
)
def test_recorded_lengths_have_their_measured_statistics(trace, prompt, output):
    columns = empirical.read(empirical.build(trace, DATA).source.path)
    for tokens, (mean, *percentiles) in zip(columns, (prompt, output), strict=True):
        assert tokens.mean() == pytest.approx(mean, rel=0.002)
        assert np.percentile(tokens, [50, 99]) == pytest.approx(percentiles, rel=0.01)


def clients(tmp_path):
    pytest.importorskip("pyarrow")
    samples.servegen(tmp_path)
    return servegen.build(data=str(tmp_path))


def test_clients_are_tenants_of_the_recorded_rates_and_bursts(tmp_path):
    trace = clients(tmp_path).draw("train", 0, 10.0, 12_000)
    shares = np.bincount(trace.tenant) / len(trace)
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    gaps = [np.diff(trace.arrived_ps[trace.tenant == i]) for i in range(3)]
    spread = [float(g.std() / g.mean()) for g in gaps]
    assert spread == pytest.approx([3.1, 1.0, 1.4], rel=0.2)


def test_lengths_are_the_client_s_own_or_another_s_where_it_has_none(tmp_path):
    trace = clients(tmp_path).draw("train", 0, 10.0, 4000)
    values = [set(trace.prompt_tokens[trace.tenant == i].tolist()) for i in range(3)]
    assert values == [{100, 200, 1000, 2000}, {100, 200}, {1000, 2000}]
    own = trace.prompt_tokens[trace.tenant == 1]
    assert (own == 200).mean() == pytest.approx(0.75, abs=0.05)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    workload = clients(tmp_path)
    servegen._windows.cache_clear()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'adrs-harness\[traces\]'"):
        workload.draw("train", 0, 1.0, 10)


@needs_data
@pytest.mark.parametrize(
    ("model", "n_clients", "top", "gamma"),
    [("m-large", 162, (0.160, 0.428), 0.70), ("deepseek-r1", 73, (0.286, 0.525), 0.74)],
)
def test_servegen_has_its_measured_clients(model, n_clients, top, gamma):
    pytest.importorskip("pyarrow")
    active = servegen.build(model, DATA).active()
    sent = np.bincount(active.client, weights=active.rate_per_s)
    assert (sent > 0).sum() == n_clients
    shares = np.sort(sent)[::-1] / sent.sum()
    assert (shares[0], shares[:5].sum()) == pytest.approx(top, abs=0.001)
    in_gamma = active.rate_per_s[~active.is_weibull].sum() / active.rate_per_s.sum()
    assert in_gamma == pytest.approx(gamma, abs=0.01)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (hot_prefix.build, {"share": 1.5}, "share is 1.5; expected 0 to 1"),
        (documents.build, {"questions": 0}, "questions is 0; expected at least 1"),
        (power_law.build, {"exponent": 0.0}, "exponent is 0.0; expected above 0"),
        (tidal.build, {"high": "tea"}, "no kind of requests 'tea'; there are conv"),
        (reasoning.build, {"most_output_tokens": 9}, "is 9; expected at least least"),
        (priorities.build, {"pattern": "x"}, "pattern is 'x'; expected random, markov"),
        (priorities.build, {"period_s": 0.0}, "period_s is 0.0; expected above 0"),
        (agents.build, {"most_tokens": 9}, "is 9; expected at least twice prefix"),
        (conversations.build, {"think_s": -1.0}, "think_s is -1.0; expected 0 or"),
        (servegen.build, {"windows": 0}, "windows is 0, .*; expected at least 1"),
    ],
)
def test_an_impossible_option_is_refused_by_name(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
