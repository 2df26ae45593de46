"""A tracked run in MLflow and on ``adrs leaderboard``: once, however often told."""

import json
import random
import signal
import subprocess
import time

import pytest

from adrs.archive import Archive
from adrs.curve import whole
from tests.acceptance.command import ENVIRONMENT, SHORT, adrs, evolve, limited, words

TRACKED = ("tracking=mlflow", "budget.evaluations=8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with one run that came to its end, said it, and said it again."""
    place = tmp_path_factory.mktemp("tracked")
    first = evolve(*TRACKED, "run=a", cwd=place)
    assert first.returncode == 0, first.stderr
    assert "not on the MLflow leaderboard" not in first.stderr
    (place / "runs/a/summary.txt").unlink()
    again = evolve(*TRACKED, "run=a", cwd=place)
    assert again.returncode == 0, again.stderr
    assert "resuming run a" in again.stderr
    assert "viewStateShareKey=leaderboard" in again.stdout
    return place


@pytest.fixture(scope="module")
def client(place):
    from mlflow import MlflowClient

    store = f"sqlite:///{place / 'runs/mlflow.db'}"
    return MlflowClient(store, registry_uri=store)


def campaigns(client, name):
    experiment = client.get_experiment_by_name("adrs/scheduling")
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    parents = [r for r in runs if r.data.tags.get("kind") == "campaign"]
    parents = [r for r in parents if r.info.run_name == name]
    ids = {r.info.run_id for r in parents}
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") in ids]
    return parents, children


def test_a_run_told_twice_is_there_once_with_its_seeds_and_elites(client):
    (parent,), children = campaigns(client, "a")
    assert parent.info.status == "FINISHED"
    assert {
        "seed": "0",
        "llm.provider": "offline",
    }.items() <= parent.data.params.items()
    arms = sorted(child.data.tags["arm"] for child in children)
    assert arms == ["evolved", "evolved", "seed", "seed"]
    ids = [child.data.tags["adrs.candidate_id"] for child in children]
    assert len(set(ids)) == len(ids)
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.tags["isolation"] == "strict"
        assert {"train", "validation", "gain_low"} <= child.data.metrics.keys()
    history = client.get_metric_history(parent.info.run_id, "best_train")
    steps = [point.step for point in history]
    assert len(set(steps)) == len(steps)


def test_the_winner_is_the_champion_and_the_view_is_shared(client, place):
    version = client.get_model_version_by_alias("adrs.scheduling", "champion")
    assert len(client.search_model_versions("name = 'adrs.scheduling'")) == 1
    folder = client.download_artifacts(version.run_id, "policy")
    with open(f"{folder}/policy.py", encoding="utf-8") as policy:
        assert policy.read() == (place / "runs/a/winner.py").read_text()
    experiment = client.get_experiment_by_name("adrs/scheduling")
    view = json.loads(experiment.tags["mlflow.sharedViewState.leaderboard"])
    assert view["orderByKey"] == "metrics.`validation`"


def test_the_table_holds_the_same_policies(client, place):
    done = adrs("leaderboard", "format=json", cwd=place)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    _, children = campaigns(client, "a")
    shown = {
        row["candidate"]: round(row["validation"], 5)
        for row in facts["rows"]
        if row["arm"] != "tuned"
    }
    tracked = {
        child.data.tags["adrs.candidate_id"]: round(child.data.metrics["validation"], 5)
        for child in children
    }
    assert shown == pytest.approx(tracked, abs=1e-4)
    assert "viewStateShareKey=leaderboard" in facts["url"]


def test_an_interrupted_run_is_there_and_becomes_the_finished_one(client, place):
    typed = (*TRACKED, "run=b", "seed=1")
    journal = place / "runs/b/journal.jsonl"
    process = subprocess.Popen(
        words("evolve", *SHORT, *typed), cwd=place, env=ENVIRONMENT
    )
    while process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 12:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.01)
    assert process.wait() == 130
    (parent,), children = campaigns(client, "b")
    assert (parent.info.status, children) == ("KILLED", [])
    done = evolve(*typed, cwd=place)
    assert done.returncode == 0, done.stderr
    (parent,), children = campaigns(client, "b")
    assert (parent.info.status, len(children)) == ("FINISHED", 4)


def test_a_run_that_found_no_room_in_the_store_is_told_when_there_is(tmp_path):
    typed = (*TRACKED, "run=a")
    full = evolve(*typed, cwd=tmp_path, preexec_fn=limited(150_000))
    assert full.returncode == 0, full.stderr
    assert full.stderr.count("not on the MLflow leaderboard: ") == 1
    assert "Traceback" not in full.stderr
    assert "\nwinner " in "\n" + full.stdout
    done = evolve(*typed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming run a" in done.stderr
    assert "viewStateShareKey=leaderboard" in done.stdout


def test_a_run_killed_while_it_reports_is_there_once(client, place):
    typed = (*TRACKED, "run=c", "seed=2")
    journal = place / "runs/c/journal.jsonl"
    moments = random.Random(3)
    for _ in range(5):
        process = subprocess.Popen(
            words("evolve", *SHORT, *typed), cwd=place, env=ENVIRONMENT
        )
        while process.poll() is None and not (journal.parent / "winner.py").exists():
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.2))
        process.kill()
        process.wait()
        for last in ("winner.py", "summary.txt"):
            (journal.parent / last).unlink(missing_ok=True)
    done = evolve(*typed, cwd=place)
    assert done.returncode == 0, done.stderr
    (parent,), children = campaigns(client, "c")
    assert (parent.info.status, len(children)) == ("FINISHED", 4)
    for child in children:
        assert child.info.status == "FINISHED"
        files = {
            file.path for file in client.list_artifacts(child.info.run_id, "policy")
        }
        assert {"policy/policy.py", "policy/train.json"} <= files
    winner = "name = 'adrs.scheduling' and tags.campaign = 'c'"
    assert len(client.search_model_versions(winner)) == 1


def test_a_run_killed_whenever_it_told_something_has_each_point_once(client, place):
    typed = (*TRACKED, "run=d", "seed=3", "budget.evaluations=40")
    folder, moments = place / "runs/d", random.Random(4)
    for _ in range(4):
        before = n_points(client, "d")
        process = subprocess.Popen(
            words("evolve", *SHORT, *typed), cwd=place, env=ENVIRONMENT
        )
        while process.poll() is None and not (folder / "winner.py").exists():
            if n_points(client, "d") > before:
                break
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.wait()
        for last in ("winner.py", "summary.txt"):
            (folder / last).unlink(missing_ok=True)
    done = evolve(*typed, cwd=place)
    assert done.returncode == 0, done.stderr
    (parent,), children = campaigns(client, "d")
    assert (parent.info.status, len(children)) == ("FINISHED", 4)
    with Archive.read(folder / "journal.jsonl") as archive:
        curve = whole(archive.rows)
    for name, values in curve.items():
        history = client.get_metric_history(parent.info.run_id, name)
        told = {
            (point.step, point.timestamp - parent.info.start_time): point.value
            for point in history
        }
        assert len(history) == len(told)
        wanted = {(step, step): value for step, value in values.items()}
        assert told == pytest.approx(wanted, rel=1e-5)


def n_points(client, name):
    """How many points of the curve the store has; there is one parent at most."""
    parents, _ = campaigns(client, name)
    assert len(parents) <= 1
    ids = [parent.info.run_id for parent in parents]
    return sum(len(client.get_metric_history(id_, "best_train")) for id_ in ids)
