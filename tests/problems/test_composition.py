"""One policy per problem at once: a fleet whose engines have companions, and moves."""

import json

import pytest

from adrs.archive import Archive
from adrs.exams import exams, sitting
from adrs.main import main
from adrs.settings import Arguments, settings
from evaluators.problems.load_balancing import PROBLEM
from tests.papers.routers import DispatchOnly, router

STACK = ("companions.scheduling=sarathi", "companions.eviction=lru")
SMALL = (
    "problem=load_balancing",
    "problem.regimes=[1.5]",
    "problem.train_seeds=1",
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_router_is_scored_beside_the_companions_of_its_engines(tmp_path, capsys):
    """Steps of ``sarathi`` on every replica are small, so that there are more."""
    assert main(["score", "cache_aware", *SMALL, *STACK, "format=json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["companions"]["scheduling"] == "sarathi"
    assert told["companions"]["eviction"] == "lru"
    (beside,) = told["outcomes"]
    composed = settings("evolve", Arguments((), SMALL))
    (exam,) = exams(sitting(composed, tmp_path / "found.json"), "train")
    alone = PROBLEM.evaluate(router("cache_aware"), *exam)
    assert beside["failure"] is None and beside["scenario"] == alone.scenario
    assert beside["metrics"]["iterations"] > 1.1 * alone.metrics["iterations"]
    assert beside["metrics"]["questions"] > alone.metrics["questions"]


@pytest.mark.slow
def test_a_wire_is_named_in_the_stamp_of_what_was_scored(tmp_path):
    sat = migration(tmp_path, "problem.n_requests=10", "problem.train_seeds=1")
    (stamp,) = {exam.scenario.calibration for exam in sat}
    assert stamp.endswith("wire nodes_h100 (measured)")
    assumed = "problem.fleet.wire=ethernet_25g"
    sat = migration(tmp_path, "problem.n_requests=10", "problem.train_seeds=1", assumed)
    assert sat[0].scenario.calibration.endswith("wire ethernet_25g (assumed)")


@pytest.mark.slow
def test_a_campaign_evolves_routers_beside_companions(tmp_path, capsys):
    words = [
        *SMALL,
        *STACK,
        "problem.n_requests=40",
        "problem.validation_seeds=2",
        "budget.evaluations=8",
        "contenders=1",
        "tracking=off",
        "run=composed",
    ]
    assert main(["evolve", *words]) == 0
    with Archive.read(tmp_path / "runs/composed/journal.jsonl") as archive:
        rows = archive.rows
    assert len(rows) >= 8 and any(row.round > 0 for row in rows)
    assert all(row.failure is None for row in rows if row.round == 0)
    assert "scheduling by sarathi" in capsys.readouterr().out


@pytest.mark.slow
def test_migration_gains_where_answers_outgrow_a_replica(tmp_path):
    """Llumnix against its own dispatch: stalls of 19 s and 39 s when written.

    Scores hang on whether the gate finds one group starved: 0.949 and 0.934 then.
    """
    sat = migration(tmp_path)
    policies = (lambda: DispatchOnly(router("llumnix")), lambda: router("llumnix"))
    made = [[PROBLEM.evaluate(policy(), *exam) for exam in sat] for policy in policies]
    stalls, ratios = (
        [sum(each.metrics[name] for each in outcomes) for outcomes in made]
        for name in ("preemption_stall_s", "bound_ratio")
    )
    assert stalls[1] < 0.75 * stalls[0]
    assert ratios[1] > ratios[0]


def migration(folder, *overrides):
    """Train exams of ``experiment=migration``."""
    words = ("experiment=migration", *overrides)
    composed = settings("evolve", Arguments((), words))
    return exams(sitting(composed, folder / "found.json"), "train")
