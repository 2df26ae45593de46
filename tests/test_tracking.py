"""Campaigns on a real MLflow store: layout, ranking, and reporting twice."""

import json
import shlex
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from adrs.archive import Archive
from adrs.browse import command, database, experiment_id, shared_view
from adrs.records import Header
from adrs.report import stopped
from adrs.run_folder import CONFIG, JOURNAL, claim
from adrs.shown import Entry, Report
from adrs.tracking import Tracker, TrackingError
from tests.acceptance.command import limited

SEED, ELITE = "a" * 16, "b" * 16


def entry(id_, arm, validation):
    return Entry(
        candidate_id=id_,
        name=f"idea of {id_[0]}",
        tags={"arm": arm, "ranked": "true", "exams": "these"},
        metrics={"validation": validation, "train": validation + 0.1234567891},
        files={"policy.py": f"class {id_[0].upper()}:\n    pass\n"},
    )


def report(place, **changes):
    journal = place / "journal.jsonl"
    journal.write_text("{}\n")
    made = Report(
        problem="scheduling",
        campaign_id="0123456789abcdef",
        name="scheduling-0123",
        settings={"seed": 0, "llm.provider": "offline"},
        metrics={"gain": 0.02},
        curve={"best": {1: 0.1, 5: 0.2, 9: 0.3}},
        entries=(entry(SEED, "seed", 0.4), entry(ELITE, "evolved", 0.5)),
        files=(journal,),
        winner=ELITE,
        note="gain over the best seed: +0.1",
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A store with one campaign, reported twice, by two trackers."""
    place = tmp_path_factory.mktemp("runs")
    for _ in range(2):
        Tracker(place).report(report(place))
    return place


@pytest.fixture(scope="module")
def client(runs):
    return Tracker(runs).wait()


def runs_of(client, runs, filters=""):
    return client.search_runs(
        [experiment_id(runs, "scheduling")],
        filters,
        order_by=["metrics.validation DESC"],
    )


def test_the_store_is_one_file_with_a_write_ahead_log_and_its_own_artifacts(runs):
    connection = sqlite3.connect(runs / "mlflow.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert (runs / "artifacts" / "scheduling").is_dir()


def test_a_campaign_is_a_run_with_a_child_for_each_entry_however_often_reported(
    client, runs
):
    parents = runs_of(client, runs, "tags.kind = 'campaign'")
    children = runs_of(client, runs, "tags.ranked = 'true'")
    assert len(parents) == 1
    assert [c.data.tags["adrs.candidate_id"] for c in children] == [ELITE, SEED]
    parent = parents[0].info.run_id
    assert {c.data.tags["mlflow.parentRunId"] for c in children} == {parent}
    assert {r.info.status for r in parents + children} == {"FINISHED"}
    assert parents[0].data.params["llm.provider"] == "offline"


def test_the_curve_has_a_point_a_step_and_no_second_one(client, runs):
    parent = runs_of(client, runs, "tags.kind = 'campaign'")[0]
    points = client.get_metric_history(parent.info.run_id, "best")
    assert [(p.step, p.value) for p in points] == [(1, 0.1), (5, 0.2), (9, 0.3)]


def test_numbers_are_rounded_for_the_table(client, runs):
    assert runs_of(client, runs)[0].data.metrics["train"] == 0.623457


def test_what_ran_below_strict_isolation_is_neither_ranked_nor_champion(client, runs):
    weaker = [
        replace(one, tags={**one.tags, "ranked": "false"})
        for one in report(runs).entries
    ]
    tracker = Tracker(runs)
    tracker.report(report(runs, campaign_id="weaker", entries=tuple(weaker)))
    assert len(runs_of(client, runs, "tags.ranked = 'true'")) == 2
    found = client.get_model_version_by_alias("adrs.scheduling", "champion")
    assert found.tags["ranked"] == "true"


def test_the_winner_is_the_champion_and_its_policy_can_be_had(client, runs):
    version = client.get_model_version_by_alias("adrs.scheduling", "champion")
    assert version.tags["candidate"] == ELITE
    folder = client.download_artifacts(version.run_id, "policy")
    with open(f"{folder}/policy.py", encoding="utf-8") as policy:
        assert policy.read().startswith("class B:")


def test_the_shared_view_ranks_what_the_entries_carry(client, runs):
    found = client.get_experiment(experiment_id(runs, "scheduling"))
    view = json.loads(found.tags["mlflow.sharedViewState.leaderboard"])
    assert view == shared_view()
    assert view["orderByKey"] == "metrics.`validation`"
    assert found.tags["adrs.problem"] == "scheduling"


def test_a_campaign_that_was_stopped_is_marked_so_and_finishes_later(runs):
    stopped = report(runs, campaign_id="stopped", entries=(), winner=None)
    tracker = Tracker(runs)
    tracker.report(stopped)
    found = runs_of(tracker.wait(), runs, "tags.`adrs.campaign_id` = 'stopped'")
    assert found[0].info.status == "KILLED"
    tracker.report(report(runs, campaign_id="stopped"))
    found = runs_of(tracker.wait(), runs, "tags.`adrs.campaign_id` = 'stopped'")
    assert [run.info.status for run in found] == ["FINISHED"]


MAKER = """
import pathlib, sys
from adrs.tracking import Tracker
Tracker(pathlib.Path(sys.argv[1])).wait()
"""


@pytest.mark.parametrize(
    "n_bytes",
    [pytest.param(n, marks=pytest.mark.slow) for n in (5000, 150_000, 400_000)],
)
def test_a_store_that_was_half_made_is_made_anew(tmp_path, n_bytes):
    maker = subprocess.run(
        [sys.executable, "-c", MAKER, tmp_path],
        preexec_fn=limited(n_bytes),
        capture_output=True,
        text=True,
    )
    assert "disk I/O error" in maker.stderr
    Tracker(tmp_path).report(report(tmp_path))
    assert not (tmp_path / ".new").exists()


def test_a_stopped_run_goes_on_with_other_incidental_settings(tmp_path):
    runs = tmp_path / "a folder"
    plain = {"run": "my run", "workers": None, "seed": 0}
    folder = claim(runs, plain, "scheduling")
    tracker = Tracker(runs)
    for changed in ({"run": None}, {"workers": 2, "data": "/d", "run": "my run"}):
        settings = {**plain, **changed, "problem.name": "scheduling"}
        settings["tracking.enabled"] = "workers" in changed
        with Archive.open(folder.path / JOURNAL, Header("knob", 0, "x")) as archive:
            made = stopped(folder, settings, archive)
        assert set(made.settings) == {"seed", "problem.name"}
        assert made.files == (folder.path / CONFIG,)
        assert "adrs evolve 'run=my run'" in made.note
        tracker.report(made)


def test_the_printed_command_survives_a_folder_with_a_space(tmp_path):
    runs = tmp_path / "my #1 runs?"
    words = shlex.split(command(runs))
    assert words[words.index("--backend-store-uri") + 1] == database(runs)
    runs.mkdir()
    connection = sqlite3.connect(runs / "mlflow.db")
    connection.execute("CREATE TABLE experiments (experiment_id, name)")
    connection.execute("INSERT INTO experiments VALUES (7, 'adrs/scheduling')")
    connection.commit()
    connection.close()
    assert experiment_id(runs, "scheduling") == "7"


def test_a_report_that_was_cut_off_is_completed_by_the_next(tmp_path):
    tracker = Tracker(tmp_path)
    tracker.report(report(tmp_path))
    client = tracker.wait()
    child = runs_of(client, tmp_path, "tags.arm = 'evolved'")[0].info.run_id
    client.update_run(child, status="RUNNING")
    client.delete_registered_model_alias("adrs.scheduling", "champion")
    policy = next((tmp_path / "artifacts").rglob(f"{child}/**/policy.py"))
    policy.unlink()
    tracker.report(report(tmp_path))
    assert policy.exists()
    assert client.get_run(child).info.status == "FINISHED"
    assert len(runs_of(client, tmp_path, "tags.ranked = 'true'")) == 2
    assert len(client.search_model_versions("name = 'adrs.scheduling'")) == 1
    version = client.get_model_version_by_alias("adrs.scheduling", "champion")
    assert version.run_id == child


def test_a_worse_winner_of_the_same_exams_does_not_take_the_alias(tmp_path):
    tracker = Tracker(tmp_path)
    for campaign, score, champion in (
        ("1", 0.5, "1"),
        ("2", 0.4, "1"),
        ("3", 0.6, "3"),
    ):
        entries = (entry(ELITE, "evolved", score),)
        made = report(tmp_path, campaign_id=campaign, name=campaign, entries=entries)
        tracker.report(made)
        held = tracker.wait().get_model_version_by_alias("adrs.scheduling", "champion")
        assert held.tags["campaign"] == champion


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    with pytest.raises(TrackingError) as caught:
        Tracker(tmp_path).report(report(tmp_path))
    assert "mlflow.db" in str(caught.value)
    assert "\n" not in str(caught.value)
