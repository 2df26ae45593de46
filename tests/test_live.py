"""A campaign on a real MLflow store while it runs, after its end and after a kill."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adrs.browse import experiment_id
from adrs.curve import whole
from adrs.live import Live
from adrs.tracking import Tracker
from tests.loop_parts import SEEDS, campaign, run
from tests.test_tracking import report

NAMES = ("best_train", "valid_share", "trials", "failures")
PATIENCE_S = 60.0
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def tracker(place):
    return Tracker(place)


def begun(place, campaign_id):
    nothing = {"entries": (), "files": (), "winner": None, "curve": {}, "metrics": {}}
    return report(place, campaign_id=campaign_id, note="under way", **nothing)


def parents(tracker, place, campaign_id):
    at = experiment_id(place, "scheduling")
    if at is None:
        return []
    tag = f"tags.`adrs.campaign_id` = '{campaign_id}'"
    return tracker.wait().search_runs([at], tag)


def points(tracker, place, campaign_id):
    """All points of the only parent, by metric, with milliseconds since its start."""
    (parent,) = parents(tracker, place, campaign_id)
    start_ms = parent.info.start_time
    client, id_ = tracker.wait(), parent.info.run_id
    return {
        name: [
            (point.step, point.value, point.timestamp - start_ms)
            for point in client.get_metric_history(id_, name)
        ]
        for name in NAMES
    }


class Onlooker:
    """Looks at the store as soon as it has these trials; the campaign waits."""

    def __init__(self, tracker, place, campaign_id, at):
        self.where = tracker, place, campaign_id
        self.at, self.n_trials, self.seen = at, 0, []

    def on_round(self, round, n_candidates):
        pass

    def on_event(self, event):
        pass

    def on_trial(self, trial):
        self.n_trials += 1
        if self.n_trials in self.at:
            self.seen.append(self.look())

    def look(self):
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            if parents(*self.where):
                steps = [step for step, *_ in points(*self.where)["best_train"]]
                if self.n_trials in steps:
                    return parents(*self.where)[0].info.status, steps
            time.sleep(0.02)
        raise AssertionError(f"{self.n_trials} trials are not in the store")


def follow(tracker, place, campaign_id, path, *observers, **parts):
    """Run a campaign that is followed, to its end."""
    archive, made = campaign(path, observers=[], **parts)
    live = Live(tracker, begun(place, campaign_id), archive, every_s=0.01)
    made.observers.extend((live, *observers))
    with archive:
        try:
            made.run(SEEDS)
        finally:
            live.close()
    return archive


def end(tracker, place, campaign_id, archive):
    curve = whole(archive.rows)
    tracker.report(report(place, campaign_id=campaign_id, curve=curve))


def test_a_campaign_is_seen_running_and_ends_with_the_points_of_one_report(
    tracker, place, tmp_path
):
    onlooker = Onlooker(tracker, place, "seen", at=(2, 9))
    archive = follow(tracker, place, "seen", tmp_path / "j.jsonl", onlooker)
    expected = [("RUNNING", list(range(1, n + 1))) for n in (2, 9)]
    assert onlooker.seen == expected
    (parent,) = parents(tracker, place, "seen")
    assert parent.info.status == "RUNNING"
    assert parent.data.params["llm.provider"] == "offline"
    assert parent.data.tags["mlflow.note.content"] == "under way"
    for campaign_id in ("seen", "seen", "told once"):
        end(tracker, place, campaign_id, archive)
    (parent,) = parents(tracker, place, "seen")
    assert parent.info.status == "FINISHED"
    assert points(tracker, place, "seen") == points(tracker, place, "told once")


def test_following_changes_no_byte_of_the_journal(tracker, place, tmp_path):
    follow(tracker, place, "same", tmp_path / "followed.jsonl")
    alone = run(tmp_path / "alone.jsonl")
    assert (tmp_path / "followed.jsonl").read_bytes() == alone


def test_a_stopped_campaign_runs_again_when_it_goes_on(tracker, place, tmp_path):
    tracker.report(begun(place, "again"))
    assert parents(tracker, place, "again")[0].info.status == "KILLED"
    onlooker = Onlooker(tracker, place, "again", at=(1,))
    follow(tracker, place, "again", tmp_path / "j.jsonl", onlooker)
    assert [status for status, _ in onlooker.seen] == ["RUNNING"]


def test_what_was_recorded_before_opens_nothing(tracker, place, tmp_path):
    path = tmp_path / "j.jsonl"
    run(path)
    follow(tracker, place, "nothing new", path)
    assert parents(tracker, place, "nothing new") == []


def test_a_store_that_refuses_stops_nothing_and_says_nothing(tmp_path, capfd):
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    tracker = Tracker(tmp_path)
    follow(tracker, tmp_path, "refused", tmp_path / "followed.jsonl")
    assert capfd.readouterr() == ("", "")
    alone = run(tmp_path / "alone.jsonl")
    assert (tmp_path / "followed.jsonl").read_bytes() == alone


FOLLOWED = """
import pathlib, sys
from adrs.tracking import Tracker
from tests.loop_parts import Judge
from tests.test_live import follow
place, path = map(pathlib.Path, sys.argv[1:])
tracker = Tracker(place)
tracker.wait()
print("open", flush=True)
follow(tracker, place, "killed", path, pool=Judge(lambda source: 0.03, workers=1))
"""


def kill_after(wait_s, place, path):
    """Follow a campaign in a process that is killed so long after it began."""
    child = subprocess.Popen(
        [sys.executable, "-c", FOLLOWED, place, path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "open\n"
    time.sleep(wait_s)
    child.kill()
    child.communicate()
    return child.returncode


@pytest.mark.slow
def test_a_campaign_killed_again_and_again_has_each_point_once(
    tracker, place, tmp_path
):
    path, moments = tmp_path / "j.jsonl", random.Random(5)
    tracker.wait()
    codes = [kill_after(moments.uniform(0.0, 0.4), place, path) for _ in range(8)]
    assert -signal.SIGKILL in codes
    assert len(parents(tracker, place, "killed")) == 1
    archive = follow(tracker, place, "killed", path)
    end(tracker, place, "killed", archive)
    end(tracker, place, "never killed", archive)
    (parent,) = parents(tracker, place, "killed")
    assert parent.info.status == "FINISHED"
    assert points(tracker, place, "killed") == points(tracker, place, "never killed")
    assert path.read_bytes() == run(tmp_path / "alone.jsonl")
