"""What every kind of workload promises, whichever file it is."""

from dataclasses import fields
from inspect import signature
from itertools import combinations

import numpy as np
import pytest

from evaluators.workloads.relations import second_predecessor
from evaluators.workloads.workload import build_workload, kinds
from tests.workloads import samples

SPLITS = ("train", "validation", "held_out")
COLUMNS = ("prompt_tokens", "output_tokens", "predicted_tokens", "tenant", "slo_class")
N = 60
SHARING = {
    *("agents", "claude_code", "conversations", "documents", "hot_prefix"),
    *("mooncake", "ragpulse"),
}
CLOSED = {"agents", "claude_code", "conversations"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return samples.write_all(tmp_path_factory.mktemp("traces"))


@pytest.fixture(params=kinds())
def kind(request):
    return request.param


@pytest.fixture
def workload(kind, data):
    options = {}
    if kind == "servegen":
        pytest.importorskip("pyarrow")
        samples.servegen(data)
    module = __import__(f"evaluators.workloads.{kind}", fromlist=["build"])
    if "data" in signature(module.build).parameters:
        options["data"] = str(data)
    return build_workload(kind, options)


def arrays(trace):
    """Every array in a trace, those of its relations too."""
    found = {}
    for field in fields(trace):
        value = getattr(trace, field.name)
        if isinstance(value, np.ndarray):
            found[field.name] = value
        elif value is not None:
            inner = {f.name: getattr(value, f.name) for f in fields(value)}
            found |= {f"{field.name}.{k}": np.asarray(v) for k, v in inner.items()}
    return found


def unordered(trace):
    """Rows without their times, in an order of their own."""
    rows = np.stack([getattr(trace, name) for name in COLUMNS])
    return rows[:, np.lexsort(rows)]


def test_equal_arguments_give_equal_traces_and_other_seeds_others(workload):
    first, again, other = (
        arrays(workload.draw("train", seed, 5.0, N)) for seed in (1, 1, 2)
    )
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in COLUMNS)


def test_a_draw_has_the_asked_size_and_known_tenants(workload):
    for split in SPLITS:
        trace = workload.draw(split, 0, 5.0, N)
        assert len(trace) == N
        assert trace.tenant.max() < workload.n_tenants


def test_splits_share_no_draw(workload):
    traces = [workload.draw(split, 0, 5.0, N) for split in SPLITS]
    for first, second in combinations(traces, 2):
        assert not np.array_equal(unordered(first), unordered(second))


def test_the_rate_moves_times_only(workload):
    slow, fast = (workload.draw("train", 3, rate, N) for rate in (2.0, 8.0))
    assert np.array_equal(unordered(slow), unordered(fast))
    if slow.sessions is None:
        np.testing.assert_allclose(slow.arrived_ps, fast.arrived_ps * 4, atol=4)


def test_the_asked_span_is_kept_but_where_all_comes_at_once(workload, kind):
    trace = workload.draw("train", 0, 5.0, N)
    if trace.sessions is not None:
        trace_ps = trace.arrived_ps[trace.sessions.after < 0]
        assert trace_ps[-1] <= (N / 5.0) * 1e12 * (1 + 1e-9)
    else:
        span = 0 if kind == "documents" else N / 5.0
        assert trace.duration_s == pytest.approx(span)


def test_chains_are_a_tree_of_dense_ids_within_the_tokens(workload, kind):
    trace = workload.draw("train", 0, 5.0, N)
    assert (trace.prefixes is not None) == (kind in SHARING)
    if trace.prefixes is None:
        return
    ids, lengths = trace.prefixes.ids, np.diff(trace.prefixes.offsets)
    assert second_predecessor(trace.prefixes) is None
    assert np.array_equal(np.unique(ids), np.arange(ids.max() + 1))
    blocks = trace.prompt_tokens // trace.prefixes.block_tokens
    total = trace.prompt_tokens + trace.output_tokens
    assert np.all(lengths * trace.prefixes.block_tokens <= total)
    assert np.all(lengths <= blocks) or kind in CLOSED


def test_sessions_follow_rows_that_begin_with_what_they_continue(workload, kind):
    trace = workload.draw("train", 0, 5.0, N)
    assert (trace.sessions is not None) == (kind in CLOSED)
    if trace.sessions is None:
        return
    rows = np.flatnonzero(trace.sessions.after >= 0)
    before = trace.sessions.after[rows]
    assert rows.size
    earliest = trace.arrived_ps[before] + trace.sessions.wait_ps[rows]
    assert np.array_equal(trace.arrived_ps[rows], earliest)
    for row, previous in zip(rows.tolist(), before.tolist(), strict=True):
        assert trace.tenant[row] == trace.tenant[previous]
        begun = trace.prefixes.chain(previous)
        assert np.array_equal(trace.prefixes.chain(row)[: len(begun)], begun)


def test_the_whole_is_a_trace_too(workload):
    trace = workload.whole(0)
    assert len(trace) >= N
    assert trace.prefixes is None or second_predecessor(trace.prefixes) is None


def test_an_impossible_draw_is_refused(workload):
    for rate, n in ((0.0, 5), (1.0, 0)):
        with pytest.raises(ValueError, match="expected"):
            workload.draw("train", 0, rate, n)
