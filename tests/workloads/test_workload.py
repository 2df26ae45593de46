"""Kinds of workload: found by file name, each with the options its section lists."""

import re
from inspect import signature
from pathlib import Path

import pytest

from evaluators.workloads.catalogue import CATALOGUE, PROJECTS, how_to_get
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.workload import build_workload, kinds

CONF = sorted((Path(__file__).parents[2] / "conf" / "workload").glob("*.yaml"))


def keys(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(re.findall(r"^(\w+): ([^ ]+)", line)[0] for line in lines[1:])


def test_every_file_that_can_build_is_a_kind_and_can_be_chosen():
    files = Path(__file__).parents[2].glob("evaluators/workloads/*.py")
    built = sorted(f.stem for f in files if "\ndef build(" in f.read_text())
    assert kinds() == tuple(built)
    assert {keys(path)["kind"] for path in CONF} == set(kinds())


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.stem)
def test_a_section_names_exactly_the_options_of_its_kind(path):
    from importlib import import_module

    section = keys(path)
    build = import_module(f"evaluators.workloads.{section.pop('kind')}").build
    assert set(section) == set(signature(build).parameters)


def test_every_recorded_section_tells_where_its_trace_is_to_be_had():
    recorded = {keys(path)["trace"] for path in CONF if "trace" in keys(path)}
    fetched = {trace.name for trace in CATALOGUE}
    assert recorded - fetched <= set(PROJECTS)
    assert {trace.part_of or trace.name for trace in CATALOGUE} <= recorded
    assert all(how_to_get(name).endswith(f"fetch {name}`") for name in fetched)


def test_an_unknown_kind_and_an_unknown_option_are_refused_with_the_known():
    with pytest.raises(
        ValueError, match="unknown workload kind 'nosuch'; there are ag"
    ):
        build_workload("nosuch", {})
    with pytest.raises(ValueError, match="no option 'rate'; it has tenants, arrivals"):
        build_workload("synthetic", {"rate": 1})


def test_the_interactive_class_is_tighter_in_everything_and_both_name_their_source():
    tight, relaxed = CLASSES
    assert (tight.ttft_s, tight.tpot_s, tight.gap_s) == (0.5, 0.03, 0.1)
    assert (relaxed.ttft_s, relaxed.tpot_s, relaxed.gap_s) == (2.0, 0.1, 0.5)
    assert all("MLPerf" in c.source and "Sarathi" in c.source for c in CLASSES)
