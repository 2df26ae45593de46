"""The wheel alone, in an empty folder, is the whole product."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    place = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", str(place), "."], cwd=ROOT, check=True)
    return next(place.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def adrs(*words, site, cwd):
    return subprocess.run(
        [sys.executable, "-P", "-m", "adrs.main", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def test_it_carries_configuration_baselines_and_data_and_no_run(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "adrs/conf/evolve.yaml",
        "adrs/conf/workload/synthetic.yaml",
        "adrs/seeds/scheduling/fcfs.py",
        "evaluators/calibration/data/llama31_8b_h100.json",
        "evaluators/workloads/capacities.json",
        "adrs/py.typed",
        "evaluators/py.typed",
    ):
        assert needed in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"adrs", "evaluators"}


def test_every_file_that_the_checkout_has_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("conf", "adrs/"), ("seeds", "adrs/"), ("evaluators", "")):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml", ".json"):
                assert inside + str(path.relative_to(ROOT)) in names


def test_it_scores_a_baseline_from_an_empty_folder(installed, tmp_path):
    small = ("problem.n_requests=40", "problem.validation_seeds=2")
    done = adrs("score", "fcfs", *small, site=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "isolation strict" in done.stdout


def test_its_help_names_its_verbs(installed, tmp_path):
    done = adrs("--help", site=installed, cwd=tmp_path)
    assert "\n  evolve" in done.stdout
