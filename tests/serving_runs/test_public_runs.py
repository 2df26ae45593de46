"""The public runs, replayed: the targets hold as bands, and the report says so."""

import os
from functools import lru_cache
from pathlib import Path

import pytest

from evaluators.serving_runs.calibrated import finding
from evaluators.serving_runs.host import FITTED_ON, RECORDED_S
from evaluators.serving_runs.ranking import order
from evaluators.serving_runs.report import markdown
from evaluators.serving_runs.targets import (
    CLOSED,
    OPEN,
    RECORDED,
    TARGETS,
    gated,
    is_asked,
)
from evaluators.serving_runs.validation import PUBLIC, validated

DATA = Path(os.environ.get("ADRS_DATA", "nowhere"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / PUBLIC).is_dir(), reason=f"no ADRS_DATA with {PUBLIC}"
    ),
]


@lru_cache(maxsize=1)
def found():
    pytest.importorskip("pyarrow", reason="reading parquet files needs pyarrow")
    return validated(DATA / PUBLIC, finding(None), DATA)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.group} {t.metric}")
def test_the_target_is_met(target):
    verdict = next(v for v in found().verdicts if v.target == target)
    assert verdict.is_met, verdict


@pytest.mark.parametrize(
    ("group", "metric", "points"),
    [(OPEN, "e2e_mean", 34), (CLOSED, "tpot_mean", 105), (RECORDED, "tpot_mean", 3)],
)
def test_no_point_has_gone_missing(group, metric, points):
    verdicts = {(v.target.group, v.target.metric): v for v in found().verdicts}
    assert verdicts[group, metric].points >= points


def test_the_constant_is_fitted_on_two_runs_that_no_target_counts():
    comparison = found().comparison
    fit = {p.run.name for p in comparison.points if p.run.part == "fit"}
    assert fit == set(FITTED_ON)
    tested = {p.run.name for t in TARGETS for p in gated(comparison.points, t)}
    assert not tested & fit
    assert comparison.host.seconds == pytest.approx(RECORDED_S, abs=2e-4)


def test_alternatives_are_ordered_as_the_engines_did():
    asked = [pair for pair in found().pairs if is_asked(pair.first)]
    whole = order(asked)
    assert whole.pairs > 700
    assert whole.share >= 0.98
    assert whole.tau >= 0.97
    known = order(pair for pair in asked if pair.knob in ("rate", "tp"))
    assert known.share >= 0.99


def test_every_row_of_the_sample_is_replayed_or_left_out_with_a_reason():
    sample = [p for p in found().comparison.points if "silicon_sample" in p.run.source]
    left = [each for each in found().left_out if each.why]
    assert len(sample) == 105
    assert len(left) == len(found().left_out) > 5000


def test_the_report_names_the_split_and_every_section():
    text = markdown(found())
    assert all(name in text for name in FITTED_ON)
    for title in ("Targets", "Rankings", "Errors", "Noise", "Left out"):
        assert f"## {title}" in text
