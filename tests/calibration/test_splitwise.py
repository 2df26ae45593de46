import gzip

import numpy as np
import pytest

from evaluators.calibration.importers import splitwise
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.shipped import RECIPES, text
from tests.calibration.data import data_folder

ASKED = Asked("h100-80gb", "llama-2-70b", 4)
NAMES = [name for name, recipe in RECIPES.items() if recipe.source == "splitwise"]
HEAD = "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,"
HEAD += "tensor_parallel"


def decode_ms(batch, context):
    return 25 + 0.2 * batch + 1e-4 * batch * context


def prefill_ms(tokens):
    return 30 + 0.02 * tokens


def table(folder, rows=()):
    lines = [HEAD]
    for prompt in (128, 512, 1024):
        for batch in (1, 2, 4, 8, 16, 32, 64):
            for factor in (0.99, 1.0, 1.0, 1.01):
                times = prefill_ms(prompt * batch), decode_ms(batch, prompt + 64)
                times = ",".join(str(factor * time) for time in times)
                lines.append(f"llama2-70b,h100-80gb,{prompt},{batch},128,{times},4")
    packed = gzip.compress("\n".join([*lines, *rows]).encode())
    (folder / splitwise.FILE).write_bytes(packed)
    return folder


def test_a_fit_finds_the_batches_that_it_did_not_see(tmp_path):
    made = splitwise.calibration(table(tmp_path), ASKED)
    regimes = made.content["error"]["regimes"]
    assert regimes["decode, other batches"][0] < 0.02
    assert regimes["prefill, other batches"][0] < 0.05
    held = set(made.steps["decode, other batches"].decodes)
    assert held == set(splitwise.HELD_OUT_BATCHES)


def test_repeats_are_a_point_at_their_median_and_give_the_noise(tmp_path):
    points = splitwise.read(table(tmp_path), ASKED)
    assert len(points) == 21
    drawn = splitwise.decodes(points)
    expected = decode_ms(drawn.decodes, drawn.longest_context) / 1e3
    assert drawn.seconds == pytest.approx(expected)
    assert splitwise.noise(points) == pytest.approx(0.01, rel=0.01)


def test_a_point_counted_twice_is_no_repeat(tmp_path):
    points = {(1.0, 1.0, 1.0): [(1.0, 1.0), (1.0, 1.0), (1.0, 3.0), (1.0, 2.0)]}
    assert splitwise.noise(points) == pytest.approx(np.std([1, 2, 3], ddof=1) / 2)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (ASKED._replace(tp=16), "has no llama-2-70b on 16 x h100-80gb"),
        (ASKED._replace(model="opt-13b"), "has no opt-13b on 4 x h100-80gb"),
    ],
)
def test_what_was_not_measured_is_said_with_the_file(tmp_path, asked, says):
    with pytest.raises(ValueError, match=says) as caught:
        splitwise.calibration(table(tmp_path), asked)
    assert splitwise.FILE in str(caught.value)


def test_a_table_cut_short_is_named(tmp_path):
    path = table(tmp_path) / splitwise.FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"perf_model.csv.gz cannot be read"):
        splitwise.read(tmp_path, ASKED)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_what_the_table_gives(name, shipped_text):
    assert text(name, data_folder("gpu/splitwise")) == shipped_text(name)
