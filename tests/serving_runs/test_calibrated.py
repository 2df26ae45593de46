"""Which calibration serves which run."""

import os
from pathlib import Path

import pytest

from evaluators.calibration.calibration import load
from evaluators.serving_runs.calibrated import finding, fits, widths
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
        ("fp8 weights, KV bfloat16", (8, 16)),
        ("fp8 weights, KV fp8", (8, 8)),
    ],
)
def test_widths_are_those_of_weights_and_of_cached_numbers(dtype, bits):
    assert widths(dtype) == bits


def test_a_calibration_fits_its_model_gpu_ranks_and_widths_only():
    assert fits(OWN, run())
    for changed in ({"model": "x"}, {"gpu": "a100"}, {"tp": 2}, {"bits": 8}):
        assert not fits(OWN, run(**changed))


def test_one_of_two_engines_is_calibrated_apart():
    pair = run(model="qwen3-30b-a3b", gpu="rtxpro6000", engines=2)
    alone = run(model="qwen3-30b-a3b", gpu="rtxpro6000")
    assert finding(None)(pair).name == "qwen3_30b_a3b_dp2_rtxpro6000"
    assert finding(None)(alone).name == "qwen3_30b_a3b_rtxpro6000"


def test_what_is_shipped_is_found_by_what_it_is_of():
    find = finding(None)
    assert find(run()) == OWN
    assert find(run(tp=64)) is None


def test_nothing_is_composed_where_there_are_no_tables(tmp_path):
    assert finding(tmp_path)(run(tp=64)) is None
    assert finding(tmp_path)(run()) == OWN


@pytest.mark.skipif("ADRS_DATA" not in os.environ, reason="no ADRS_DATA")
def test_a_calibration_that_is_not_shipped_is_composed_from_the_tables():
    pytest.importorskip("pyarrow")
    asked = run(model="qwen3-32b", tp=4)
    find = finding(Path(os.environ["ADRS_DATA"]))
    assert fits(find(asked), asked)
    assert find(asked) is find(asked)
    assert find(run(model="qwen3-32b", tp=3)) is None
    assert find(run(model="nobody-1b")) is None
