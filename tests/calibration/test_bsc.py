import gzip

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.calibration.importers import bsc
from evaluators.calibration.shipped import RECIPES, text
from tests.calibration.data import data_folder

NAMES = [name for name, recipe in RECIPES.items() if recipe.source == "bsc"]
FILE = "gpu/e2e"


@pytest.mark.parametrize("name", NAMES)
def test_a_refit_errs_by_5_percent_at_most_on_batches_it_did_not_see(name):
    errors = load(name).error
    assert errors.regimes["decode, other batches"][0] <= 0.05
    assert "fitted: " in errors.reference


def test_fitting_and_testing_batches_are_apart_and_all_are_used():
    data = data_folder(FILE) / bsc.FOLDER
    for model in bsc.NAMES:
        rows = bsc.read(data, model, "output")
        fitted = set(bsc.FITTED[model])
        tested = set(bsc.unseen(data, model)["decode, other batches"].decodes)
        assert fitted | tested == set(rows.batch) and not fitted & tested


@pytest.mark.slow
def test_kernels_alone_are_far_off_so_that_a_refit_is_needed():
    data = data_folder("gpu/aiconfigurator/h100_sxm") / bsc.FOLDER
    made = bsc.refit(data, "llama-3.1-8b")
    bare = bsc.Refitted(made.kernels)
    rows = bsc.read(data, "llama-3.1-8b", "output")
    own = bare.tokens_s(rows.batch) + bare.head_s(rows.batch)
    own += made.kernels.decode_s(rows.batch, rows.output_tokens / 2)
    assert np.median(own / rows.seconds - 1) < -0.3
    assert 0 < made.step_s < 0.01 and 1 / made.kv_byte_s < 2.02e12


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_what_the_measured_steps_give(name, shipped_text):
    assert text(name, data_folder("gpu/aiconfigurator/h100_sxm")) == shipped_text(name)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("model,phase\na,output", "has no column input_len"),
        (
            "model,phase,max_num_seqs,input_len,output_len,step_ms_p50\nx,output,1,1,1,1",
            "has no output steps of llama-3.1-8b-instruct",
        ),
    ],
)
def test_a_file_that_is_not_the_steps_is_named(tmp_path, lines, says):
    path = tmp_path / bsc.FILE
    path.parent.mkdir()
    path.write_bytes(gzip.compress(lines.encode()))
    with pytest.raises(ValueError, match=says) as caught:
        bsc.read(tmp_path, "llama-3.1-8b", "output")
    assert str(path) in str(caught.value)
