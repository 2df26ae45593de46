from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from evaluators.calibration.calibration import names
from evaluators.calibration.importers import aic
from evaluators.calibration.shipped import RECIPES, text
from tests.calibration.data import calibration as shipped_one
from tests.calibration.data import data_folder

OUR_OWN = {"tiny_llama_cpu"}
"""Of a machine that nobody else has: its tables are in no public folder."""

KERNELS = sorted(name for name, recipe in RECIPES.items() if recipe.source == "aic")


def test_every_shipped_calibration_has_a_recipe():
    assert set(names()) - OUR_OWN == set(RECIPES)


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_shipped_files_are_what_the_kernel_tables_give(name, shipped_text):
    pytest.importorskip("pyarrow", reason="reading kernel tables needs pyarrow")
    assert text(name, data_folder("gpu/aiconfigurator")) == shipped_text(name)


def test_one_shipped_file_is_what_the_kernel_tables_give(shipped_text):
    pytest.importorskip("pyarrow", reason="reading kernel tables needs pyarrow")
    folder = data_folder("gpu/aiconfigurator/a100_sxm")
    assert text("llama2_7b_a100", folder) == shipped_text("llama2_7b_a100")


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_shipped_files_are_what_the_pinned_package_gives(name, shipped_text):
    try:
        found = version(aic.PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"{aic.PACKAGE} is not installed")
    assert found == aic.VERSION and Path(aic.installed()).is_dir()
    assert text(name, None) == shipped_text(name)


@pytest.mark.parametrize("name", sorted(names()))
def test_a_composed_fit_errs_by_5_percent_at_most_in_the_median_of_dense_models(name):
    calibration = shipped_one(name)
    if calibration.status != "fitted from kernel tables":
        pytest.skip("not composed of kernels")
    regimes = dict(calibration.error.regimes)
    together = [regimes.pop(n) for n in list(regimes) if "profiled together" in n]
    assert max((median for median, _ in together), default=0.0) < 0.06
    medians = [median for median, _ in regimes.values()]
    assert len(medians) + (len(together) > 0) == 6
    if any(word in name for word in ("mixtral", "deepseek", "fp8", "vidur")):
        assert max(medians) < 0.35  # the README says which and why
    else:
        assert max(medians) <= 0.05 and np.mean(medians) < 0.03
