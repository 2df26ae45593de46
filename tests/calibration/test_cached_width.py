"""What caching keys and values in 8 bits changes, and what it leaves."""

from dataclasses import replace

import pytest

from evaluators.calibration.calibration import load
from evaluators.calibration.calibration_file import floor_of
from evaluators.calibration.kv_memory import kv_memory
from evaluators.calibration.shapes import GPUS, MODELS, kv_bytes
from evaluators.calibration.step_time import Batch

SHIPPED = load("llama31_70b_fp8_tp4_h100")
LONG = Batch(0, 0, 32, 32 * 8192, 8192)


@pytest.mark.parametrize(
    ("dtype", "width"),
    [("fp8 weights, KV fp8", 1), ("fp8 weights, KV bfloat16", 2), ("bfloat16", 2)],
)
def test_the_width_of_a_cached_number_is_told_by_the_dtype(dtype, width):
    assert kv_bytes(dtype) == width


def test_twice_as_many_blocks_of_8_bits_fit():
    model, gpu = MODELS["llama-3.1-70b"], GPUS["h100-sxm-80g"]
    wide = kv_memory(model, gpu, 4, 1).blocks
    narrow = kv_memory(replace(model, kv_bytes=1), gpu, 4, 1).blocks
    assert abs(narrow - 2 * wide) <= 1


def test_a_measured_number_of_blocks_is_of_16_bits_only():
    model, gpu = MODELS["llama-2-7b"], GPUS["h100-sxm-80g"]
    assert kv_memory(model, gpu, 1, 2).source.startswith("measured")
    narrow = kv_memory(replace(model, kv_bytes=1), gpu, 1, 2)
    assert narrow.source.startswith("derived")


def test_no_step_beats_reading_8_bit_contexts_at_peak_bandwidth():
    assert SHIPPED.dtype == "fp8 weights, KV fp8"
    own, least = SHIPPED.step_time, floor_of(SHIPPED)
    assert own.duration_ps(LONG) >= least.duration_ps(LONG)
    wide = floor_of(replace(SHIPPED, dtype="fp8 weights, KV bfloat16"))
    assert least.duration_ps(LONG) < wide.duration_ps(LONG)
