"""The loop's laws: one journal whatever the timing and however often it is cut."""

import json
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from adrs.archive import Archive
from adrs.asking import Outage
from adrs.budget import Budget, Limits
from adrs.campaign import Search
from adrs.llm.model import ModelError, ModelUnavailableError, Reply
from adrs.records import Header
from adrs.timings import Timings, elapsed_s
from tests.loop_parts import ROOT, SEEDS, Judge, Turner, campaign, judge, run

KILLED = """
import sys
from pathlib import Path
from tests.loop_parts import Judge, run
run(Path(sys.argv[1]), pool=Judge(lambda source: 0.02, workers=2))
"""


def records(journal, kind):
    lines = map(json.loads, journal.splitlines())
    return [line for line in lines if line["record"] == kind]


class Seen:
    """An observer that keeps what it was told."""

    def __init__(self):
        self.rounds, self.trials, self.events = [], [], []

    def on_round(self, round, n_candidates):
        self.rounds.append((round, n_candidates))

    def on_trial(self, trial):
        self.trials.append((trial.round, trial.slot))

    def on_event(self, event):
        self.events.append(event)


class Down:
    """A model whose endpoint fails ``n_failures`` times, then answers."""

    def __init__(self, n_failures):
        self.model, self.left, self.name = Turner(), n_failures, Turner.name

    def complete(self, messages, key):
        if key.round == 2 and self.left:
            self.left -= 1
            raise ModelUnavailableError("connection refused")
        return self.model.complete(messages, key)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_journal_cut_after_any_line_is_completed_to_the_same_bytes(tmp_path, lag):
    search = Search(slots=4, lag=lag)
    whole = run(tmp_path / "whole.jsonl", search=search)
    lines = whole.splitlines(keepends=True)
    for n_lines in range(0, len(lines), 1 if lag == 1 else 5):
        path = tmp_path / f"{n_lines}.jsonl"
        path.write_bytes(b"".join(lines[:n_lines]) + b'{"torn')
        assert run(path, search=search) == whole


def test_timing_does_not_reach_the_journal(tmp_path):
    whole = run(tmp_path / "whole.jsonl")
    for number in range(4):
        delays = random.Random(number)
        pool = Judge(lambda _, d=delays: d.random() / 50, workers=number + 1)
        assert run(tmp_path / f"{number}.jsonl", pool=pool) == whole


def test_another_seed_is_another_journal(tmp_path):
    one, two = (
        run(tmp_path / f"{seed}.jsonl", header=Header("knob", seed, "x"))
        for seed in (1, 2)
    )
    assert one.split(b"\n", 1)[1] != two.split(b"\n", 1)[1]


def test_killed_at_random_moments_it_loses_nothing_and_ends_the_same(tmp_path):
    whole = run(tmp_path / "whole.jsonl")
    path = tmp_path / "killed.jsonl"
    moments = random.Random(0)
    command = [sys.executable, "-c", KILLED, str(path)]
    recorded = b""
    for _ in range(4):
        with subprocess.Popen(command, cwd=ROOT) as child:
            while child.poll() is None and not path.exists():
                time.sleep(0.005)
            time.sleep(moments.random() * 0.12)
            child.send_signal(signal.SIGKILL)
        kept = path.read_bytes()
        assert kept.startswith(recorded)
        recorded = kept[: kept.rfind(b"\n") + 1]
    assert run(path) == whole


def test_resuming_evaluates_and_asks_nothing_twice(tmp_path):
    path = tmp_path / "j.jsonl"
    whole = run(path)
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:20]))
    done = {record["candidate"] for record in records(path.read_bytes(), "trial")}
    asked = {
        (record["round"], record["slot"])
        for record in records(path.read_bytes(), "proposed")
    }
    pool, model, seen = Judge(), Turner(), Seen()
    assert run(path, pool=pool, model=model, observers=[seen]) == whole
    assert len(pool.asked) == len(records(whole, "trial")) - len(done)
    assert asked.isdisjoint((key.round, key.slot) for key, _ in model.asked)
    assert seen.events[0].kind == "resume"
    assert seen.events[0].facts == {"trials": len(done)}


def test_resuming_a_finished_campaign_does_nothing(tmp_path):
    path = tmp_path / "j.jsonl"
    whole = run(path)
    pool, model = Judge(), Turner()
    assert run(path, pool=pool, model=model) == whole
    assert not pool.asked
    assert not model.asked


def test_trials_are_recorded_and_told_in_the_order_asked(tmp_path):
    seen = Seen()
    journal = run(tmp_path / "j.jsonl", observers=[seen])
    order = [(r["round"], r["slot"]) for r in records(journal, "trial")]
    assert order == sorted(order) == seen.trials
    assert [number for number, _ in seen.rounds] == sorted(
        {round_ for round_, _ in order} - {0}
    )


def test_questions_of_a_round_are_asked_while_the_one_before_is_evaluated(tmp_path):
    asked = threading.Event()
    in_time = []

    class Watched(Turner):
        def complete(self, messages, key):
            if key.round == 2:
                asked.set()
            return super().complete(messages, key)

    def until_asked(source):
        if source not in SEEDS.values():
            in_time.append(asked.wait(timeout=5))
        return 0.0

    pool = Judge(until_asked)
    run(tmp_path / "j.jsonl", Limits(evaluations=8), pool=pool, model=Watched())
    assert len(in_time) == 8
    assert all(in_time)


def test_lag_zero_sees_the_round_before_and_lag_one_does_not(tmp_path):
    for lag, newest in ((0, 2), (1, 1)):
        path = tmp_path / f"{lag}.jsonl"
        journal = run(path, Limits(evaluations=60), search=Search(slots=6, lag=lag))
        rounds = {
            record["candidate"]["id"]: record["round"]
            for record in records(journal, "proposed")
        }
        ages = {
            record["round"] - rounds[parent]
            for record in records(journal, "proposed")
            for parent in record["candidate"]["parents"]
            if rounds[parent] > 0
        }
        assert min(ages) == 3 - newest


@pytest.mark.parametrize("limit", [1, 7, 20])
@pytest.mark.parametrize("lag", [0, 2])
def test_exactly_the_evaluations_of_the_budget_are_spent(tmp_path, limit, lag):
    pool = Judge()
    search = Search(slots=4, lag=lag)
    journal = run(
        tmp_path / "j.jsonl", Limits(evaluations=limit), pool=pool, search=search
    )
    assert len(pool.asked) == limit + len(SEEDS)
    assert len(records(journal, "trial")) == limit + len(SEEDS)
    assert records(journal, "event")[0]["facts"] == {"reason": "evaluations"}


@pytest.mark.parametrize("limits", [Limits(tokens=1_000), Limits(usd=1.0)])
def test_calls_of_an_even_price_never_exceed_tokens_or_dollars(tmp_path, limits):
    class Even(Turner):
        def complete(self, messages, key):
            knob = 1000 + key.round * 10 + key.slot
            text = f"```python\nclass K:\n    knob = {knob}\n    rank = 1\n```"
            return Reply(text, 90, 10, 0.1)

    journal = run(tmp_path / "j.jsonl", limits, model=Even())
    spent = records(journal, "proposed")
    assert sum(record["tokens"] for record in spent) == 1_000
    assert sum(record["usd"] for record in spent) == pytest.approx(1.0)
    trials = len(records(journal, "trial"))
    assert trials == len(spent)


def test_a_stop_by_the_clock_is_replayed_not_measured_again(tmp_path):
    ticks = iter(range(1_000_000))
    budget = Budget(Limits(seconds=40), clock=lambda: float(next(ticks)))
    path = tmp_path / "j.jsonl"
    stopped = run(path, budget=budget)
    stop = records(stopped, "event")[0]
    assert stop["facts"] == {"reason": "seconds"}
    assert stop["round"] > 2
    lines = stopped.splitlines(keepends=True)
    after = next(i for i, line in enumerate(lines) if b'"stop"' in line) + 1
    assert after < len(lines)
    path.write_bytes(b"".join(lines[:after]))
    assert run(path, Limits(seconds=1e9)) == stopped


def test_a_model_that_repeats_itself_ends_the_campaign(tmp_path):
    class Stuck(Turner):
        def complete(self, messages, key):
            return Reply("```python\nclass K:\n    knob = 5\n    rank = 1\n```")

    path = tmp_path / "j.jsonl"
    journal = run(path, model=Stuck(), search=Search(slots=4, patience=3))
    assert records(journal, "event")[0]["facts"] == {"reason": "stalled"}
    assert len(records(journal, "trial")) == 2
    assert {r["reason"] for r in records(journal, "rejected")} == {"duplicate"}


def test_a_model_that_is_down_is_waited_for_and_burns_nothing(tmp_path):
    whole = run(tmp_path / "whole.jsonl")
    waits, seen = [], Seen()
    outage = Outage(first_s=1, cap_s=4, give_up_s=600, sleep=waits.append)
    search = Search(slots=4, outage=outage)
    path = tmp_path / "down.jsonl"
    assert run(path, model=Down(14), search=search, observers=[seen]) == whole
    assert waits[:2] == [1, 2]
    assert [e.facts["wait_s"] for e in seen.events if e.kind == "pause"] == waits
    assert "connection refused" in seen.events[0].facts["reason"]


def test_a_model_that_stays_down_stops_the_campaign_which_resumes_later(tmp_path):
    whole = run(tmp_path / "whole.jsonl")
    waits = []
    search = Search(slots=4, outage=Outage(give_up_s=10, sleep=waits.append))
    path = tmp_path / "down.jsonl"
    with pytest.raises(ModelUnavailableError, match="waited 10 s for it"):
        run(path, model=Down(10_000), search=search)
    assert sum(waits) == 10
    assert whole.startswith(path.read_bytes())
    assert run(path) == whole


def test_waiting_for_a_model_does_not_count_as_time(tmp_path):
    now_s = [0.0]

    def sleep(seconds):
        now_s[0] += seconds

    budget = Budget(Limits(evaluations=20, seconds=30), clock=lambda: now_s[0])
    search = Search(slots=4, outage=Outage(sleep=sleep))
    journal = run(tmp_path / "j.jsonl", budget=budget, model=Down(24), search=search)
    assert now_s[0] > 30
    assert records(journal, "event")[0]["facts"] == {"reason": "evaluations"}


def test_a_failed_question_is_recorded_with_its_cost(tmp_path):
    class Refusing(Turner):
        def complete(self, messages, key):
            if key.slot == 1:
                raise ModelError("refused", Reply("", 30, 5, 0.5))
            return super().complete(messages, key)

    journal = run(tmp_path / "j.jsonl", Limits(evaluations=3), model=Refusing())
    refused = [r for r in records(journal, "rejected") if r["slot"] == 1]
    assert refused[0] | {"round": 1} == {
        "record": "rejected",
        "round": 1,
        "slot": 1,
        "reason": "model",
        "message": "refused",
        "tokens": 70,
        "usd": 1.0,
    }


def test_no_policy_is_evaluated_twice(tmp_path):
    pool = Judge()
    run(tmp_path / "j.jsonl", Limits(evaluations=60), pool=pool, model=Turner(span=90))
    assert len(pool.asked) == len(set(pool.asked)) == 61


def test_seeds_that_changed_are_refused(tmp_path):
    path = tmp_path / "j.jsonl"
    run(path, Limits(evaluations=4))
    other = {"low": SEEDS["low"].replace("1", "2")}
    with pytest.raises(ValueError, match="seed low differs"):
        run(path, Limits(evaluations=4), seeds=other)


def test_a_seed_that_does_not_parse_is_named(tmp_path):
    with pytest.raises(ValueError, match="seed broken is no policy: line 1"):
        run(tmp_path / "j.jsonl", seeds={"broken": "class"})


def test_equal_seeds_are_evaluated_once(tmp_path):
    pool = Judge()
    seeds = SEEDS | {"copy": "# a copy\n" + SEEDS["low"]}
    run(tmp_path / "j.jsonl", Limits(evaluations=2), seeds=seeds, pool=pool)
    assert len(pool.asked) == 3


def test_two_campaigns_share_a_folder_and_a_pool(tmp_path):
    pool = Judge()
    first = run(tmp_path / "journal.jsonl", pool=pool)
    best = max(records(first, "trial"), key=lambda r: r["outcomes"][0]["score"])
    with Archive.read(tmp_path / "journal.jsonl") as archive:
        seeds = {"best": archive.candidate(best["candidate"]).source}
    control = run(tmp_path / "control.jsonl", seeds=seeds, pool=pool)
    assert (tmp_path / "journal.jsonl").read_bytes() == first
    assert len(records(control, "trial")) == len(records(first, "trial"))


def test_the_search_improves_on_its_seed(tmp_path):
    journal = run(tmp_path / "j.jsonl", Limits(evaluations=40), model=Turner(span=90))
    with Archive.read(tmp_path / "j.jsonl") as archive:
        assert max(r.score for r in archive.rows) > judge(SEEDS["low"]).score
    assert journal


def test_clock_facts_go_to_the_side_file_and_add_up_over_processes(tmp_path):
    path = tmp_path / "journal.jsonl"
    now_s = [0.0]
    budget = Budget(
        Limits(evaluations=4), clock=lambda: now_s[0], elapsed_s=elapsed_s(path)
    )
    now_s[0] = 5.0
    archive, made = campaign(path, budget=budget, observers=[Timings(path, budget)])
    with archive:
        made.run(SEEDS)
    side = tmp_path / "timings.jsonl"
    side.write_bytes(side.read_bytes() + b'{"elapsed_s": 9')
    assert elapsed_s(path) == 5.0
    assert elapsed_s(tmp_path / "control.jsonl") == 0.0
    assert b"elapsed" not in path.read_bytes()


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"lag": -1}, {"patience": 0}])
def test_a_search_that_cannot_run_is_refused(wrong):
    with pytest.raises(ValueError, match=f"search.{next(iter(wrong))} is"):
        Search(**wrong)
