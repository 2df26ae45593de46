import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.calibration.shapes import MODELS
from evaluators.calibration.step_time import Batch
from evaluators.kernels import grid
from evaluators.kernels.grid import StepSize, coarse_first
from evaluators.kernels.step_shape import StepShape, step_shape

GRIDS = {
    "small": grid.small(),
    "cpu": grid.cpu(MODELS["tiny-llama"]),
    "cuda": grid.cuda(MODELS["llama-3.1-8b"]),
}


@given(st.integers(0, 200), st.integers(0, 5))
def test_coarse_first_takes_everything_once(n, seed):
    assert sorted(coarse_first(range(n), seed)) == list(range(n))


@given(st.integers(2, 300))
def test_any_beginning_of_the_order_spans_the_sizes(n):
    """After k sizes no gap is wider than four times an even share of the range."""
    order = coarse_first(range(n), seed=1)
    for k in range(2, n + 1):
        gaps = np.diff(sorted(order[:k]))
        assert gaps.max() <= max(4 * (n - 1) / (k - 1), n - 1 if k < 4 else 0)


def test_the_order_within_a_round_is_drawn():
    assert coarse_first(range(100), 1) != coarse_first(range(100), 2)
    assert coarse_first(range(100), 1) == coarse_first(range(100), 1)


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 99)), max_size=4),
    st.lists(st.integers(1, 999), max_size=4),
)
def test_aggregates_of_a_step_are_counted_pair_by_pair(chunks, contexts):
    shape = StepShape(tuple(chunks), tuple(contexts))
    pairs = sum(2 * (done + i) + 1 for done, k in chunks for i in range(k))
    assert shape.batch.prefill_work == pairs
    assert shape.batch.context_tokens == sum(contexts)
    assert shape.batch.prefill_context == sum(done + k for done, k in chunks)
    assert shape.kv_tokens % 16 == 0
    assert shape.kv_tokens >= shape.batch.context_tokens + shape.batch.prefill_context


def test_a_skewed_step_has_the_mean_and_a_longer_longest():
    shape = step_shape(StepSize(0, 0, 0, 16, 512, 4))
    assert shape.batch.longest_context == 2048
    assert abs(shape.batch.context_tokens - 16 * 512) < 16


@pytest.mark.parametrize("name", GRIDS)
def test_the_steps_of_a_grid_cover_every_regime_and_fit_its_memory(name):
    made = GRIDS[name]
    batches = [step_shape(size).batch for size in made.steps]
    assert any(b.prefills and not b.decodes for b in batches)
    assert any(b.decodes and not b.prefills for b in batches)
    assert any(b.decodes and b.prefills for b in batches)
    assert any(b.prefill_context > b.prefill_tokens for b in batches)
    assert any(b.longest_context * b.decodes > b.context_tokens for b in batches)
    assert all(b.context_tokens <= made.kv_tokens for b in batches)
    assert all(isinstance(b, Batch) for b in batches)
