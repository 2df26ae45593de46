import numpy as np
import pytest

from evaluators.calibration.attention_table import Layout
from evaluators.calibration.calibration_file import step_time
from evaluators.calibration.compose import VLLM_GRAPHS, KernelSums
from evaluators.calibration.composed import Wanted, composed
from evaluators.calibration.fit import (
    Limits,
    fit,
    increasing,
    knots,
    least_squares,
    six_digits,
)
from evaluators.calibration.records import Provenance
from evaluators.calibration.regimes import regimes
from evaluators.calibration.samples import Samples, steps
from evaluators.calibration.shapes import Experts, ModelShape
from evaluators.calibration.step_time import Batch
from tests.calibration.tables import H100, decode_s, gemm_s, prefill_s, tables

DENSE = ModelShape("small", 2, 1024, 8, 2, 128, 4096, 16384)
SPARSE = ModelShape(
    "routed", 2, 2048, 16, 4, 128, 4096, 16384, experts=Experts(128, 8, 768)
)
LIMITS = Limits(kv_tokens=500_000, kv_token_ps=100.0)


def one(value):
    return np.array([float(value)])


def sums(model=DENSE, tp=1, graphs=VLLM_GRAPHS):
    return KernelSums(tables(), model, tp, graphs)


def test_a_step_is_the_sum_of_its_kernels():
    known = sums(graphs=())
    matrices = [(1536, 1024), (1024, 1024), (8192, 1024), (1024, 4096)]
    products = sum(2 * gemm_s(64, n, k) for n, k in matrices)
    elements = 8 * 1024 + 2 * (1024 + 256) + 4 * 256 + 3 * 4096
    moved = 2 * (5 * 3e-6 + 64 * elements * 2 / (0.8 * H100.bytes_per_s))
    assert known.tokens_s(one(64)) == pytest.approx(products + moved)
    assert known.decode_s(one(16), one(512)) == pytest.approx(
        2 * decode_s(16, 512, 8, 2, 128)
    )
    assert known.prefill_s(one(1), one(512), one(0)) == pytest.approx(
        2 * prefill_s(1, 512, 8, 128)
    )


def test_ranks_halve_matrices_and_heads_and_reduce_twice_a_layer():
    known = sums(tp=2, graphs=())
    assert known.layout == Layout(4, 1, 128)
    single = sums(tp=1, graphs=())
    reduce_s = 5 * (4e-6 + 2 * 1e-12 * 8 * 1024)
    halves = [(768, 1024), (1024, 512), (4096, 1024), (1024, 2048)]
    products = sum(2 * gemm_s(8, n, k) for n, k in halves)
    moved = known.tables.elementwise(5, 8 * known._elementwise_bytes())
    expected = products + 2 * moved + reduce_s
    assert known.tokens_s(one(8)) == pytest.approx(expected)
    assert known.head_s(one(8)) > single.head_s(one(8)) / 2 + 4e-6


def test_experts_replace_the_feed_forward_and_have_a_router():
    dense = ModelShape("d", 2, 2048, 16, 4, 128, 4096, 16384)
    routed, plain = sums(SPARSE, graphs=()), sums(dense, graphs=())
    tokens = one(64)
    layer = tables().moe(tokens, routed._expert_layer(SPARSE.experts))
    router = gemm_s(64, 128, 2048)
    feed = sum(gemm_s(64, m.columns, m.rows) for m in dense.ffn_layer_matrices(1))
    wide = 3 * (768 * 8 - 4096) * 2 * 64 / (0.8 * H100.bytes_per_s)
    difference = routed.tokens_s(tokens) - plain.tokens_s(tokens)
    assert difference == pytest.approx(2 * (layer + router - feed + wide))


@pytest.mark.parametrize(
    ("tokens", "padded"), [(1, 1), (3, 4), (9, 16), (257, 272), (512, 512), (600, 600)]
)
def test_a_step_is_padded_to_the_next_captured_graph(tokens, padded):
    assert sums().padded(one(tokens)) == padded
    assert sums(graphs=()).padded(one(tokens)) == tokens


def test_tokens_of_a_graph_cost_the_same_and_the_next_graph_more():
    made = step_time(fit(sums(), LIMITS))
    assert len({made.tokens_ps[n] for n in range(9, 17)}) == 1
    assert made.tokens_ps[17] > made.tokens_ps[16]


def test_a_fit_reproduces_sums_of_the_form_that_it_has():
    known = sums()
    made = step_time(fit(known, LIMITS))
    for name, drawn in regimes(known, LIMITS).items():
        error = np.abs(drawn.errors(made))
        assert np.median(error) < 0.02, name
        assert np.quantile(error, 0.9) < 0.1, name


def test_no_price_of_a_context_token_undercuts_the_bandwidth():
    made = step_time(fit(sums(), Limits(500_000, 50_000.0)))
    assert min(min(table) for table in made.context_ps) >= 50_000


def test_errors_are_those_of_a_fit_that_saw_nothing_of_the_model():
    known = sums()
    blind = known.without_own()
    assert known.layout in known.tables.attention["decode_attention"].sheets
    assert known.layout not in blind.tables.attention["decode_attention"].sheets
    own = {(1024.0, 1024.0), (1024.0, 4096.0)}
    assert own <= known.tables.gemms.curves.keys()
    assert not own & blind.tables.gemms.curves.keys()


def test_a_composed_file_says_what_lies_outside_its_tables():
    wanted = Wanted(DENSE, 1, "bfloat16", "vllm")
    made = composed(tables(), wanted, Provenance("a test"))
    outside = [a for a in made.content["assumptions"] if a.startswith("Outside")]
    assert len(outside) == 1 and "prefill attention after a prefix" in outside[0]
    assert set(made.content["error"]["regimes"]) == set(made.steps)
    assert made.content["kv_source"].startswith("derived: ")


def test_a_model_that_does_not_fit_is_refused():
    huge = ModelShape("huge", 200, 16384, 128, 8, 128, 65536, 256000)
    with pytest.raises(ValueError, match="huge does not fit 1 x h100-sxm-80g"):
        composed(tables(), Wanted(huge, 1, "bfloat16", "vllm"), Provenance("a test"))


def test_samples_are_steps_with_their_aggregates():
    drawn = steps(one(2), one(100), one(50), one(3), one(700))
    batch = Batch(**{name: int(value[0]) for name, value in drawn.items()})
    assert batch == Batch(200, 40000, 3, 2100, 700, 2, 300)
    samples = Samples(**drawn, seconds=one(1e-3))
    assert samples.predicted_s(step_time(fit(sums(), LIMITS))) > 0


def test_samples_that_are_none_are_refused():
    drawn = steps(one(2), one(100), one(50), one(3), one(700))
    with pytest.raises(ValueError, match="positive numbers"):
        Samples(**drawn, seconds=one(0))
    with pytest.raises(ValueError, match="columns of samples have lengths"):
        Samples(**drawn, seconds=np.ones(2))


def test_coefficients_that_would_be_negative_are_zero():
    columns = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    found = least_squares(columns, np.array([1.0, 2.0, 3.0]) - 0.5, np.ones(3))
    assert found[0] == 0
    assert found[1] == pytest.approx(11 / 14)


def test_increasing_pools_what_falls_and_keeps_the_mean():
    values = np.array([1.0, 5.0, 3.0, 4.0, 9.0])
    assert increasing(values).tolist() == [1, 4, 4, 4, 9]


def test_knots_inside_a_flat_stretch_are_dropped():
    sizes = np.array([1.0, 2, 3, 4, 5])
    assert knots(sizes, np.array([7.0, 7, 7, 8, 9])) == [[1, 7], [3, 7], [4, 8], [5, 9]]


@pytest.mark.parametrize(
    ("value", "rounded"), [(123456789.0, 123457000), (7122.26, 7122), (0.4, 0)]
)
def test_coefficients_have_six_significant_digits(value, rounded):
    assert six_digits(value) == rounded
