"""Losers leave early, everyone else sits everything, and timing decides nothing."""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from adrs.archive import Archive
from adrs.budget import Budget, Limits
from adrs.campaign import Campaign, Search
from adrs.rungs import Rungs, ends
from adrs.selection import field
from evaluators.calibration.step_time import StepTime
from evaluators.evaluation import Evaluation, Failure, Outcome
from evaluators.problem import Exam, Standard
from evaluators.scenario import Deployment
from evaluators.splits import Plan, Service, draw_split
from evaluators.workloads.synthetic import build
from tests.loop_parts import HEADER, SEEDS, Knob, Turner

SERVICE = Service(Deployment("small", kv_blocks=2000), StepTime((1,)), "made up")
PLAN = Plan(seeds=3, n_requests=5, regimes=(0.8, 1.2))
DRAWN = draw_split(build(), SERVICE, "train", PLAN, 5.0)
EXAMS = tuple(Exam(scenario, Standard(1.0, {})) for scenario in DRAWN)
BEST = (0.5, 0.505, 0.51, 0.5, 0.49, 0.505)


def luck(*of):
    return int(hashlib.sha256(repr(of).encode()).hexdigest()[:8], 16) / 16**8


class Marker:
    """Marks a policy by its knob, exam by exam: ``knob`` hundredths, give or take."""

    def __init__(self):
        self.sat = []
        self.threads = ThreadPoolExecutor(4)

    def evaluate(self, sources, exams):
        self.sat += [(source, len(exams)) for source in sources]
        marks = [self.threads.submit(self.mark, source, exams) for source in sources]
        return (mark.result() for mark in marks)

    def mark(self, source, exams):
        knob = int(re.search(r"knob = (-?\d+)", source).group(1))
        outcomes = []
        for exam in exams:
            name, regime = exam.scenario.name, exam.scenario.regime
            failure = Failure("exception", "no") if knob < 0 else None
            score = min(1.0, knob / 1000 + 0.01 * luck(knob, name)) * (not failure)
            outcomes.append(Outcome(name, regime, score, {}, "", failure))
        return Evaluation(tuple(outcomes), "none")


def sit(*knobs, best=BEST):
    marker = Marker()
    sources = [f"knob = {knob}" for knob in knobs]
    with Rungs(marker, EXAMS, 4) as rungs:
        return list(rungs.evaluate(sources, best)), marker


def test_exams_double_from_rung_to_rung():
    assert ends([0.8, 1.2] * 3) == (2, 4, 6)
    assert ends([0.5, 0.8, 1.0, 1.2] * 9) == (4, 8, 16, 32, 36)
    assert ends([1.0]) == (1,)
    assert ends([]) == (0,)


def test_who_is_surely_worse_leaves_with_the_reason_and_who_is_not_sits_everything():
    (bad, even, good), marker = sit(10, 500, 900)
    assert bad.dropped.rung == 0
    assert bad.dropped.interval[2] < 0
    assert len(bad.outcomes) == 2
    assert (even.dropped, good.dropped) == (None, None)
    names = [scenario.name for scenario in DRAWN]
    assert [o.scenario for o in even.outcomes] == names
    assert sum(n for source, n in marker.sat if source == "knob = 10") == 2


def test_who_failed_sits_no_more_but_is_not_called_a_loser():
    ((failed,), _) = sit(-1)
    assert failed.failure is not None
    assert (len(failed.outcomes), failed.dropped) == (2, None)


def test_without_a_best_to_be_held_against_everyone_sits_everything():
    ((bad,), marker) = sit(10, best=None)
    assert len(bad.outcomes) == 6
    assert marker.sat == [("knob = 10", 6)]


def test_a_policy_as_good_as_the_best_is_rarely_dropped():
    marker = Marker()
    equals = [marker.mark("knob = 500", EXAMS[:0])]  # no exams, no outcome
    assert equals[0].outcomes == ()
    dropped = 0
    for draw in range(300):
        source = f"knob = {500 + draw % 3}"
        best = tuple(0.5 + 0.01 * luck(draw, e.scenario.name) for e in EXAMS)
        with Rungs(marker, EXAMS, 1) as rungs:
            (found,) = rungs.evaluate([source], best)
        dropped += found.dropped is not None
    assert dropped <= 0.08 * 300


def run(path, **parts):
    with Archive.open(path, HEADER) as archive:
        Campaign(
            problem=Knob(),
            model=Turner(span=1000),
            pool=Marker(),
            exams=EXAMS,
            archive=archive,
            budget=Budget(Limits(evaluations=parts.get("n", 40))),
            search=Search(slots=4, early_drop=parts.get("early_drop", True)),
        ).run(SEEDS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return run(tmp_path_factory.mktemp("rungs") / "j")


def test_a_campaign_records_whom_it_dropped_and_never_chooses_them(journal, tmp_path):
    (tmp_path / "j").write_bytes(journal)
    with Archive.read(tmp_path / "j") as archive:
        dropped = [row for row in archive.rows if row.dropped]
        full = [row for row in archive.rows if not row.dropped]
        assert len(dropped) >= 5
        assert all(len(row.scores) < 6 for row in dropped)
        assert all(len(row.scores) == 6 for row in full)
        assert not any(row.dropped for row in field(archive.as_of(99)).rows)
        parents = {row.parents[0] for row in archive.rows if row.parents}
        assert not parents & {row.id for row in dropped}
        trial = archive.trial(dropped[0].id)
    assert trial.evaluation.dropped == dropped[0].dropped
    assert trial.evaluation.dropped.interval[2] < 0


def test_resuming_after_any_line_drops_the_same(journal, tmp_path):
    lines = journal.splitlines(keepends=True)
    for kept in range(3, len(lines), 7):
        path = tmp_path / f"{kept}"
        path.write_bytes(b"".join(lines[:kept]))
        assert run(path) == journal


def test_nobody_is_dropped_where_that_is_switched_off(tmp_path):
    journal = run(tmp_path / "j", early_drop=False)
    records = [json.loads(line) for line in journal.splitlines()]
    trials = [record for record in records if record["record"] == "trial"]
    assert {len(trial["outcomes"]) for trial in trials} == {6}
    assert not any("dropped" in trial for trial in trials)
