"""Each problem, found by its file, can be evolved, scored, tracked and ranked."""

import json

import pytest

from adrs.archive import Archive
from adrs.main import main
from evaluators.problems import load, names

SMALL = (
    "problem.n_requests=30",
    "problem.regimes=[1.0]",
    "problem.train_seeds=1",
    "problem.validation_seeds=2",
)
QUICK = ("budget.evaluations=4", "contenders=1", "run=a")

every_problem = pytest.mark.parametrize("name", names())


@every_problem
def test_a_small_campaign_of_a_problem_ends_with_its_verdict_and_its_metrics(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["evolve", f"problem={name}", *SMALL, *QUICK, "tracking=off"]) == 0
    said = capsys.readouterr().out
    assert "gain over the best seed (" in said
    assert f"validation exams: {name}, " in said
    with Archive.read(tmp_path / "runs/a/journal.jsonl") as archive:
        evaluated = [row for row in archive.rows if row.round > 0]
        trials = [archive.trial(row.id) for row in archive.rows]
    assert len(evaluated) == 4
    assert sum(row.failure is None for row in evaluated) >= 3
    for trial in trials:
        for outcome in trial.evaluation.outcomes:
            assert outcome.failure or {*load(name).headline} <= outcome.metrics.keys()
    assert main(["leaderboard", f"problem={name}", "format=json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["arm"] for row in rows} >= {"seed", "evolved"}
    assert all(row["exams"].startswith(f"{name}, ") for row in rows)


@pytest.mark.slow
@every_problem
def test_a_score_of_a_problem_shows_its_headline_and_draws_a_timeline(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    seed = {"scheduling": "fcfs", "eviction": "lru"}.get(name, "least_outstanding")
    words = ["score", seed, f"problem={name}", *SMALL, "trace=t.json"]
    assert main(words) == 0
    head = capsys.readouterr().out.splitlines()[0]
    for metric in load(name).headline:
        assert metric.replace("_", " ") in head
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert sum(event["name"] == "thread_name" for event in events) == 30
