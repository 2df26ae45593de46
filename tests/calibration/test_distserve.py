from math import prod

import pytest

from evaluators.calibration.calibration import load
from evaluators.calibration.importers import distserve
from evaluators.calibration.shipped import RECIPES, text
from evaluators.calibration.step_time import Batch
from tests.calibration.data import data_folder

# (a, b, c) of DistServe's profiler-a100-80g files in picoseconds, to 6 digits:
# prefill = a + b * tokens + c * sum of squared lengths;
# decode = a + b * context + c * batch, one fit below a batch of 95, one from there.
PUBLISHED = {
    "opt13b_a100_distserve": (
        (18102500000, 101912000, 7122),
        (19934700000, 626936, 38507000),
        (7166190000, 579800, 158311000),
    ),
    "opt13b_a100_vllm": (
        (22052200000, 140509000, 8077),
        (23475000000, 592934, 60726900),
        (20206400000, 490773, 120003000),
    ),
    "opt66b_tp4_a100_distserve": (
        (29441600000, 151352000, 8317),
        (30760300000, 451948, 63284200),
        (27470800000, 404685, 124807000),
    ),
    "opt66b_tp4_a100_vllm": (
        (42965500000, 212866000, 46010),
        (39581800000, 694572, 135809000),
        (40859700000, 426487, 195084000),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_decode_formula_holds_to_the_picosecond(name):
    times = load(name).step_time
    for batch in (1, 2, 50, 94, 95, 96, 128, 400):
        a, b, c = PUBLISHED[name][1 if batch < 95 else 2]
        context = 731 * batch + 5
        own = times.duration_ps(Batch(0, 0, batch, context, 740))
        assert own == a + b * context + c * batch


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_prefill_formula_holds_to_the_picosecond(name):
    a, b, c = PUBLISHED[name][0]
    lengths = (512, 64, 1)
    work = sum(prod((k, k)) for k in lengths)
    own = load(name).step_time.duration_ps(Batch(sum(lengths), work, 0, 0, 0))
    assert own == a + b * sum(lengths) + c * work


def test_the_prefill_constant_is_not_paid_beside_decodes():
    (_, b, c), (a, per_context, per_request), _ = PUBLISHED["opt13b_a100_vllm"]
    own = load("opt13b_a100_vllm").step_time.duration_ps(Batch(100, 10000, 4, 900, 300))
    mixed = a + 4 * per_request + 900 * per_context + 100 * b + 10000 * c
    assert own == mixed


def test_kv_memory_is_the_published_number_of_tokens():
    assert load("opt13b_a100_vllm").kv_blocks * 16 == 66_144
    assert load("opt66b_tp4_a100_vllm").kv_blocks * 16 == 78_496


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_files_are_what_the_published_files_give(name, shipped_text):
    assert RECIPES[name].source == "distserve"
    assert text(name, data_folder("gpu/distserve")) == shipped_text(name)


@pytest.mark.parametrize(
    ("engine", "model", "says"),
    [
        ("sglang", "opt-13b", "engine is 'sglang'; expected engine=distserve or"),
        ("distserve", "opt-1b", "no file .*profiler-a100-80g.distserve.json"),
        ("vllm", "opt-1b", r"a100-80g.vllm.json has no coefficients of opt-1b TP1"),
    ],
)
def test_coefficients_that_are_not_there_are_named_with_their_file(
    tmp_path, engine, model, says
):
    path = tmp_path / "profiler-a100-80g.vllm.json"
    path.write_text('{"facebook/opt-13b": {}}')
    with pytest.raises(ValueError, match=says):
        distserve.read(tmp_path, engine, model, 1)
