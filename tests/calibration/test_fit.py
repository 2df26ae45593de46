import numpy as np
import pytest

from evaluators.calibration.fit import (
    Kept,
    Kernels,
    everything,
    fit,
    increasing,
    knots,
    least_squares,
    six_digits,
)
from tests.calibration.data import data_folder


def synthetic_kernels():
    """Kernels that cost exactly what the form of a step time can say."""
    sizes = np.array([1.0, 2, 4, 8, 16, 64, 256])
    batch, context = (g.ravel() for g in np.meshgrid(sizes, sizes * 16))
    prompts, length = (g.ravel() for g in np.meshgrid(sizes[:3], sizes))
    tokens = prompts * length
    return Kernels(
        tokens=sizes,
        layers_ps=1e9 + 1e7 * sizes,
        rows=sizes,
        head_ps=1e8 + 1e5 * sizes,
        batch=batch,
        context=context,
        decode_ps=3e7 + 2e5 * batch + 4e4 * batch * context,
        prompts=prompts,
        length=length,
        prefill_ps=2e7 + 3e5 * tokens + 400 * tokens * length,
    )


def test_a_fit_finds_the_prices_that_made_the_kernels():
    kept = Kept(everything, everything, everything, everything)
    tables = fit(synthetic_kernels(), kept)
    assert tables["context_ps"] == [[[0, 40000]]]
    assert tables["prefill_token_ps"] == 300000
    assert tables["prefill_work_ps"] == 400
    assert tables["decodes_ps"][2:] == [
        [n, 130000000 + 300000 * n] for n in (2, 4, 8, 16, 64, 256)
    ]


def test_a_fit_does_not_see_what_is_held_out():
    def small(sizes):
        return sizes < 64

    tables = fit(synthetic_kernels(), Kept(small, small, everything, everything))
    assert max(count for count, _ in tables["tokens_ps"]) == 16
    assert max(count for count, _ in tables["decodes_ps"]) == 16


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


def test_the_shipped_llama_fit_is_what_the_kernel_tables_give(shipped_text):
    pytest.importorskip("pandas", reason="reading kernel tables needs pandas")
    pytest.importorskip("pyarrow", reason="reading kernel tables needs pyarrow")
    from tests.calibration import llama31_8b_h100

    data = data_folder("gpu/aiconfigurator/h100_sxm")
    assert llama31_8b_h100.calibration(data) == shipped_text("llama31_8b_h100")
