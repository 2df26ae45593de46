"""Which calibration serves which run."""

import pytest

from evaluators.calibration.calibration import load
from evaluators.serving_runs.calibrated import calibration_of, fits, shipped, widths
from tests.serving_runs.builders import run

OWN = load("llama31_8b_h100")


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("bfloat16", (16, 16)),
        ("float16", (16, 16)),
        ("fp8", (8, 16)),
        ("fp8, KV fp8", (8, 8)),
        ("16 bits", (16, 16)),
    ],
)
def test_widths_are_those_of_weights_and_of_cached_numbers(dtype, bits):
    assert widths(dtype) == bits


def test_a_calibration_fits_its_model_gpu_ranks_and_widths_only():
    assert fits(OWN, run())
    for changed in ({"model": "x"}, {"gpu": "a100"}, {"tp": 2}, {"bits": 8}):
        assert not fits(OWN, run(**changed))


def test_what_is_shipped_is_found_by_what_it_is_of():
    assert calibration_of(run(), shipped()) == OWN
    assert calibration_of(run(tp=64), shipped()) is None
