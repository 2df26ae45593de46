import numpy as np
import pytest

from evaluators.calibration.attention_table import Layout
from evaluators.calibration.curves import Curve, curve
from evaluators.calibration.held_out import shape_errors, table_of
from evaluators.calibration.moe_table import ExpertLayer
from evaluators.calibration.op_tables import op_tables
from tests.calibration.tables import (
    H100,
    decode_s,
    gemm_s,
    made_up,
    moe_s,
    prefill_s,
    tables,
)

ROWS = np.array([1.0, 5.0, 200.0, 3000.0])
BATCH = np.array([1.0, 3.0, 40.0])
CONTEXT = np.array([64.0, 700.0, 1500.0])


def test_a_measured_shape_is_what_was_measured():
    known = tables()
    own = np.array([8.0, 1024.0])
    assert known.gemm(own, 256, 4096) == pytest.approx(gemm_s(own, 256, 4096))
    both = known.decode_attention(own[:1] * 2, np.array([512.0]), Layout(8, 2, 128))
    assert both == pytest.approx(decode_s(16, 512, 8, 2, 128))
    assert not known.notes


@pytest.mark.parametrize(("n", "k"), [(3000, 1024), (1024, 700), (777, 6000)])
def test_what_is_bilinear_is_found_between_measured_matrices(n, k):
    known = tables()
    assert known.gemm(ROWS, n, k) == pytest.approx(gemm_s(ROWS, n, k))
    assert not known.notes


def test_a_matrix_beyond_all_measured_is_cut_into_parts_and_noted():
    known = tables()
    parts = 2 * gemm_s(ROWS, 15000, 1024)
    assert known.gemm(ROWS, 30000, 1024) == pytest.approx(parts)
    assert list(known.notes) == ["gemm n=30000 k=1024: cut into equal parts"]


def test_a_single_matrix_has_none_to_be_held_against():
    made = made_up()
    alone = (made["gemm"]["n"] == 256) & (made["gemm"]["k"] == 1024)
    gemm = {name: column[alone] for name, column in made["gemm"].items()}
    known = op_tables(H100, {**made, "gemm": gemm})
    assert "gemm" not in {error.family for error in shape_errors(known)}


def test_more_rows_than_measured_go_on_with_the_last_slope_and_are_noted():
    known = tables()
    many = np.array([50000.0])
    assert known.gemm(many, 256, 256) == pytest.approx(gemm_s(many, 256, 256))
    assert list(known.notes) == ["gemm m above 16384"]


def test_a_layout_lies_between_those_of_as_many_kv_heads():
    known = tables()
    own = known.decode_attention(BATCH, CONTEXT, Layout(6, 1, 128))
    assert own == pytest.approx(decode_s(BATCH, CONTEXT, 6, 1, 128))
    assert not known.notes


def test_more_kv_heads_than_measured_are_more_requests():
    known = tables()
    own = known.decode_attention(BATCH, CONTEXT, Layout(64, 16, 128))
    assert own == pytest.approx(decode_s(2 * BATCH, CONTEXT, 32, 8, 128))
    assert list(known.notes) == [
        "decode attention of (64, 16, 128) heads: scaled in the batch"
    ]


def test_contexts_beyond_the_table_are_linear_in_their_kv_and_noted():
    known = tables()
    far = np.array([100000.0])
    own = known.decode_attention(np.array([4.0]), far, Layout(8, 1, 128))
    assert own == pytest.approx(decode_s(4, far, 8, 1, 128))
    assert any("beyond its batches or lengths" in note for note in known.notes)


def test_prompts_beyond_the_table_stay_quadratic():
    known = tables()
    one, far = np.array([1.0]), np.array([32768.0])
    own = known.prefill_attention(one, far, 0 * one, Layout(8, 1, 128))
    assert own == pytest.approx(prefill_s(1, far, 8, 128), rel=1e-6)


def test_a_chunk_after_a_prefix_takes_the_prompt_of_as_many_pairs_and_is_noted():
    known = tables()
    one, layout = np.array([1.0]), Layout(8, 1, 128)
    chunk = known.prefill_attention(one, 512 * one, 4800 * one, layout)
    whole = known.prefill_attention(one, 2048 * one, 0 * one, layout)
    assert chunk == pytest.approx(whole)
    assert any("after a prefix" in note for note in known.notes)


def test_heads_of_a_size_that_nobody_measured_are_refused():
    with pytest.raises(
        ValueError, match=r"no heads of 80; measured are heads of \[128"
    ):
        tables().decode_attention(BATCH, CONTEXT, Layout(8, 1, 80))


@pytest.mark.parametrize(("tp", "ep"), [(3, 1), (1, 3)])
def test_parts_of_an_expert_layer_lie_between_measured_parts(tp, ep):
    known = tables()
    own = known.moe(ROWS, ExpertLayer(2048, 768, 8, 128, tp, ep))
    assert own == pytest.approx(moe_s(ROWS, 768, tp, ep), rel=1e-6)
    assert not known.notes


def test_an_expert_layer_unlike_all_measured_is_scaled_and_noted():
    known = tables()
    own = known.moe(ROWS, ExpertLayer(4096, 768, 8, 128, 1, 1))
    assert (own > moe_s(ROWS, 768, 1, 1)).all()
    assert any("scaled from other layers" in note for note in known.notes)


def test_messages_are_linear_in_their_elements():
    known = tables()
    sizes = np.array([300.0, 9000.0, 1e6])
    assert known.collective("all_reduce", 4, sizes) == pytest.approx(
        4e-6 + 4e-12 * sizes
    )
    assert list(known.notes) == ["all_reduce of 4 ranks: larger than measured"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda known: known.collective("all_reduce", 8, ROWS), "of 8 ranks measured"),
        (lambda known: known.mla("decode", BATCH, CONTEXT, 16), "no mla_decode table"),
        (
            lambda known: known.moe(ROWS, ExpertLayer(*(8,) * 6), "zipf"),
            r"nothing measured 'zipf'; there are \['balanced'\]",
        ),
    ],
)
def test_what_no_table_holds_is_refused_in_words(asked, says):
    with pytest.raises(ValueError, match=says):
        asked(tables())


def test_a_table_that_is_none_is_refused():
    good = made_up()
    gemm = good["gemm"]
    bad = {
        "no family of tables 'gemmm'": {"gemmm": gemm},
        "gemm: no column k": {"gemm": {x: v for x, v in gemm.items() if x != "k"}},
        "gemm: no rows": {"gemm": {name: v[:0] for name, v in gemm.items()}},
        "positive numbers": {"gemm": {**gemm, "seconds": gemm["seconds"] - 1}},
    }
    for says, columns in bad.items():
        with pytest.raises(ValueError, match=says):
            op_tables(H100, columns)


def test_times_that_follow_the_form_are_predicted_from_the_rest():
    errors = shape_errors(tables())
    by_name = {(e.family, e.left_out, e.is_inside): e for e in errors}
    for name in ("pairs (n, k)", "all of an n", "all of a k"):
        assert by_name["gemm", name, True].p90 < 1e-6
    assert by_name["decode_attention", "a layout of heads", True].median < 1e-6
    assert by_name["moe", "a layer's part on a rank", True].median < 0.02
    assert len(table_of(errors)) == len(errors) + 1


def test_an_error_is_measured_on_what_was_left_out():
    columns = made_up()
    gemm = columns["gemm"]
    odd = (gemm["n"] == 1024) & (gemm["k"] == 1024)
    gemm["seconds"][odd] *= 2
    found = {
        (e.left_out, e.is_inside): e for e in shape_errors(op_tables(H100, columns))
    }
    assert found["all of an n", True].p90 > 0.1


def test_repeats_of_a_size_are_taken_at_their_median():
    made = curve(np.array([2, 1, 2, 2]), np.array([5.0, 1.0, 7.0, 100.0]))
    assert made.sizes.tolist() == [1, 2] and made.seconds.tolist() == [1, 7]


def test_a_power_passes_through_its_points_and_never_falls_beyond():
    own = Curve(np.array([1.0, 4.0, 16.0]), np.array([1.0, 16.0, 256.0]), True)
    assert own.at(own.sizes) == pytest.approx(own.seconds)
    assert own.at(np.array([2.0, 8.0])) == pytest.approx([4, 64])
    flat = Curve(np.array([1.0, 2.0]), np.array([3.0, 3.0]), True)
    assert (flat.at(np.array([4.0, 8.0])) >= 3).all()
