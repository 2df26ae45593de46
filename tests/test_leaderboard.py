"""The table is read from the journals: ranked, once each, exams by exams."""

import json
from dataclasses import replace

import pytest

from adrs.archive import Archive
from adrs.leaderboard import JOURNAL, rows
from adrs.main import main
from adrs.records import Event, Header
from adrs.verdict import Contender, Verdict


def contender(name, arm, score):
    return Contender(
        id=name * 16,
        arm=arm,
        idea=f"idea of {name}",
        train=score + 0.1,
        pick=(score,) * 2,
        report=(score,) * 2,
        bound_ratio=0.99,
    )


def journal(
    runs, name, *contenders, problem="scheduling", exams="these", isolation="strict"
):
    found = Verdict(contenders, (0.8, 1.2), exams, isolation, "h100 (fitted)")
    (runs / name).mkdir(parents=True)
    with Archive.open(runs / name / JOURNAL, Header(problem, 0, name)) as archive:
        archive.append(Event("verdict", 1, found.facts()))


SEED, BETTER = contender("a", "seed", 0.5), contender("b", "evolved", 0.6)


def test_policies_of_all_runs_are_ranked_together_and_shown_once(tmp_path):
    journal(tmp_path, "one", SEED, BETTER)
    journal(tmp_path, "two", SEED, contender("c", "evolved", 0.7))
    found = rows(tmp_path, "scheduling")
    assert [(r.rank, r.candidate[0], r.run) for r in found] == [
        (1, "c", "two"),
        (2, "b", "one"),
        (3, "a", "one"),
    ]


def test_what_ran_below_strict_isolation_is_shown_last_and_never_ranked(tmp_path):
    journal(tmp_path, "one", SEED, contender("c", "evolved", 0.9), isolation="partial")
    journal(tmp_path, "two", SEED, BETTER)
    found = rows(tmp_path, "scheduling")
    assert [(r.rank, r.candidate[0]) for r in found] == [(1, "b"), (2, "a"), (0, "c")]


def test_a_strict_result_of_a_policy_stands_for_its_weaker_ones(tmp_path):
    journal(tmp_path, "one", SEED, BETTER, isolation="rlimits")
    journal(tmp_path, "two", SEED)
    found = rows(tmp_path, "scheduling")
    assert [(r.rank, r.candidate[0]) for r in found] == [(1, "a"), (0, "b")]


def test_what_has_no_rank_is_red_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    journal(tmp_path / "runs", "one", SEED, isolation="partial")
    journal(tmp_path / "runs", "two", BETTER, contender("d", "seed", 0.1))
    for is_terminal in (True, False):
        monkeypatch.setattr("sys.stdout.isatty", lambda shown=is_terminal: shown)
        main(["leaderboard"])
        lines = capsys.readouterr().out.splitlines()
        coloured = [line for line in lines if "\x1b[31m" in line]
        assert [" partial " in line for line in coloured] == [True] * is_terminal


def test_a_row_says_validation_gap_and_gain_with_its_interval(tmp_path):
    journal(tmp_path, "one", SEED, BETTER)
    best = rows(tmp_path, "scheduling")[0]
    assert round(best.validation, 9) == 0.6
    assert round(best.gap, 9) == 0.1
    assert [round(x, 9) for x in best.gain] == [0.1, 0.1, 0.1]


def test_a_gain_that_is_there_on_train_only_is_shown_with_an_alarm(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/one").mkdir(parents=True)
    rises = tuple(0.7 + i / 100 for i in range(9))
    loads = (0.8, 1.0, 1.2)
    fits = replace(BETTER, trained=rises, report=(0.5,) * 18, train=0.74)
    honest = replace(contender("c", "evolved", 0.6), trained=(0.6,) * 9)
    honest = replace(honest, report=(0.6,) * 18)
    base = replace(SEED, trained=(0.5,) * 9, report=(0.5,) * 18)
    found = Verdict(
        (base, fits, honest), loads * 6, "these", "rlimits", "h100", 20, 20, loads * 3
    )
    header = Header("scheduling", 0, "x")
    with Archive.open(tmp_path / "runs/one" / JOURNAL, header) as archive:
        archive.append(Event("verdict", 1, found.facts()))
    alarms = {r.candidate[0]: r.alarm for r in rows(tmp_path / "runs", "scheduling")}
    assert alarms == {"a": False, "b": True, "c": False}
    assert main(["leaderboard"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [("ALARM" in line) for line in lines if "idea of b" in line] == [True]
    assert sum("ALARM" in line for line in lines) == 1


def test_what_sat_other_exams_is_ranked_apart(tmp_path):
    journal(tmp_path, "one", SEED, BETTER)
    journal(tmp_path, "two", SEED, BETTER, exams="those")
    assert [row.rank for row in rows(tmp_path, "scheduling")] == [1, 2, 1, 2]


def test_other_problems_and_unfinished_runs_are_left_out(tmp_path):
    journal(tmp_path, "one", SEED, problem="eviction")
    (tmp_path / "two").mkdir()
    Archive.open(tmp_path / "two" / JOURNAL, Header("scheduling", 0, "x")).close()
    assert rows(tmp_path, "scheduling") == []


def test_a_broken_journal_is_named_and_hides_no_other(tmp_path, capsys):
    journal(tmp_path, "one", SEED, BETTER)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / JOURNAL).write_text("this is no record\n")
    assert len(rows(tmp_path, "scheduling")) == 2
    assert "two/journal.jsonl line 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"contenders": 5},
        Verdict((BETTER,), (0.8, 1.2), "these", "strict", "h100").facts(),
        Verdict((replace(SEED, report=()),), (), "these", "strict", "h100").facts(),
    ],
)
def test_a_broken_verdict_is_named_and_hides_no_other(tmp_path, capsys, facts):
    journal(tmp_path, "one", SEED, BETTER)
    (tmp_path / "two").mkdir()
    header = Header("scheduling", 0, "two")
    with Archive.open(tmp_path / "two" / JOURNAL, header) as archive:
        archive.append(Event("verdict", 1, facts))
    assert [row.run for row in rows(tmp_path, "scheduling")] == ["one", "one"]
    said = capsys.readouterr().err
    assert said.startswith(f"left out: {tmp_path / 'two' / JOURNAL} has a broken verdi")
    assert said.count("\n") == 1


def test_the_command_prints_a_table_and_the_same_as_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    journal(tmp_path / "runs", "one", SEED, BETTER)
    assert main(["leaderboard"]) == 0
    text = capsys.readouterr().out
    for head in ("train", "validation", "gap", "bound ratio", "isolation", "strict"):
        assert head in text
    assert main(["leaderboard", "format=json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [row["candidate"][0] for row in facts["rows"]] == ["b", "a"]
    assert set(facts["rows"][0]["gain"]) == {"mean", "low", "high"}
