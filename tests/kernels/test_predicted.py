import pytest

from evaluators.calibration.step_time import Batch
from evaluators.kernels import predicted
from evaluators.kernels.grid import StepSize
from evaluators.kernels.step_shape import step_shape
from tests.kernels import tables
from tests.kernels.tables import SHAPE, WIDTHS, decode_s, gemm_s, prefill_s, small_s


def by_hand(tokens, rows, attention):
    matrices = SHAPE.layer_matrices(1)
    layer = sum(gemm_s(tokens, m.columns, m.rows) for m in matrices) + attention
    layer += small_s(tokens, WIDTHS["norm"])
    layer += sum(small_s(tokens, width) for width in WIDTHS.values())
    last = small_s(tokens, WIDTHS["norm"]) + gemm_s(rows, SHAPE.vocab, SHAPE.hidden)
    return SHAPE.layers * layer + last + small_s(rows, 8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((0, 0, 0, 8, 512, 1), by_hand(8, 8, decode_s(8, 512))),
        ((0, 0, 0, 20, 1000, 1), by_hand(20, 20, decode_s(20, 1000))),
        ((1, 200, 512, 0, 0, 1), by_hand(200, 1, prefill_s(200, 512))),
        (
            (2, 100, 0, 4, 64, 1),
            by_hand(204, 6, 2 * prefill_s(100, 0) + decode_s(4, 64)),
        ),
    ],
)
def test_a_step_is_the_sum_of_its_kernels_on_lines_between_sizes(
    tmp_path, size, expected
):
    tables.write(tmp_path)
    batch = step_shape(StepSize(*size)).batch
    made = predicted.kernel_times(tmp_path).step_s(batch)
    assert made == pytest.approx(expected, rel=1e-5)


def test_errors_are_told_by_regime_and_mode(tmp_path):
    batch = step_shape(StepSize(0, 0, 0, 8, 512, 1)).batch
    exact = by_hand(8, 8, decode_s(8, 512))
    tables.write(tmp_path, [(batch, exact / 1.1)])
    (found,) = predicted.regimes(tmp_path)["eager"]
    assert found.name == "decode, batch 1-8"
    assert found.mean == found.worst == pytest.approx(0.1, rel=1e-3)
    assert "eager: decode, batch 1-8" in "\n".join(predicted.lines(tmp_path))


def test_every_step_has_one_regime():
    assert predicted.regime(Batch(0, 0, 9, 900, 100)) == "decode, batch above 8"
    assert predicted.regime(Batch(0, 0, 9, 900, 400)) == "decode, unequal contexts"
    assert predicted.regime(Batch(5, 25, 0, 0, 0, 1, 5)) == "prefill"
    mixed = Batch(5, 25, 1, 9, 9, 1, 5)
    assert predicted.regime(mixed) == "prefill chunk with decodes"


def test_without_a_table_nothing_is_predicted_and_it_says_so(tmp_path):
    tables.write(tmp_path)
    assert not predicted.can_predict(tmp_path)
    assert "they need the tables" in predicted.lines(tmp_path)[0]
    with pytest.raises(ValueError, match="no rows of steps"):
        predicted.regimes(tmp_path)
