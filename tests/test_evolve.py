"""The main job as it is typed: it finishes, resumes, repeats itself and refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adrs.archive import Archive
from adrs.commands.evolve import hold_to
from adrs.main import main
from adrs.records import Header
from adrs.secret import mark
from tests.llm.server import Server, error
from tests.test_sandbox import wait_until

ROOT = Path(__file__).parents[1]
SMALL = (
    "problem.n_requests=30",
    "problem.regimes=[0.8,1.2]",
    "problem.train_seeds=1",
    "problem.validation_seeds=4",
    "budget.evaluations=10",
    "contenders=2",
    "tracking=off",
    "secret=kept",
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command(*words):
    return [sys.executable, "-m", "adrs.main", "evolve", *SMALL, *words]


def evolve(*words, cwd):
    return subprocess.run(
        command(*words),
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )


def stop(number, after, name, *words, cwd):
    """Start a run and send it a signal once its journal has so many lines."""
    journal = cwd / "runs" / name / "journal.jsonl"
    process = subprocess.Popen(
        command(f"run={name}", *words),
        cwd=cwd,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= after:
            process.send_signal(number)
            break
        time.sleep(0.01)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("evolve")


@pytest.fixture(scope="module")
def finished(place):
    return evolve("run=a", cwd=place)


def journal(place, name):
    return (place / "runs" / name / "journal.jsonl").read_bytes()


def test_it_ends_with_a_winner_what_it_changed_and_what_that_gained(finished, place):
    assert finished.returncode == 0, finished.stderr
    said = finished.stdout
    assert "\nwinner " in "\n" + said
    assert "--- " in said
    assert "+++ " in said
    assert "gain over the best seed" in said
    assert "gain over the best tunable seed, tuned with as many evaluations" in said
    assert "load 1.2x" in said
    assert "split=held_out" in said
    assert (place / "runs/a/winner.py").read_text().startswith('"""')


def test_every_score_is_that_of_its_log_and_a_changed_one_is_found(
    finished, place, tmp_path, monkeypatch, capsys
):
    assert finished.returncode == 0
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert main(["replay", "a", "workers=1"]) == 0
    counts = re.search(r"(\d+) of (\d+) scores of", capsys.readouterr().out).groups()
    lines = [json.loads(line) for line in journal(place, "a").splitlines()]
    trials = sum(len(r["outcomes"]) for r in lines if r["record"] == "trial")
    assert counts[0] == counts[1]
    assert int(counts[0]) > trials  # those of the other arm and of validation as well
    logs = sorted((tmp_path / "runs/a/decisions/journal").glob("*.zip"))
    shutil.copy(logs[0], logs[1])
    assert main(["replay", "a", "workers=1", f"candidate={logs[1].stem}"]) == 1
    assert f"{logs[1].stem} on " in capsys.readouterr().out
    logs[1].unlink()
    assert main(["replay", "a", "workers=1", f"candidate={logs[1].stem}"]) == 1
    assert "there is no log" in capsys.readouterr().out


def test_the_control_arm_had_as_many_evaluations(finished, place):
    def trials(name):
        lines = (place / "runs/a" / name).read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [r for r in records if r["record"] == "trial" and r["round"] > 0]

    assert len(trials("journal.jsonl")) == 10
    assert len(trials("control.jsonl")) == 10
    verdict = json.loads(journal(place, "a").splitlines()[-1])["facts"]
    assert (verdict["n_evolved"], verdict["n_tuned"]) == (10, 10)


def test_killed_then_interrupted_it_resumes_to_the_same_journal(finished, place):
    code, _ = stop(signal.SIGKILL, 14, "b", cwd=place)
    assert code == -signal.SIGKILL
    code, said = stop(signal.SIGINT, 24, "b", cwd=place)
    assert code == 130
    assert "resuming run b after" in said
    assert "to go on: " in said
    done = evolve("run=b", "workers=1", cwd=place)
    assert done.returncode == 0, done.stderr
    assert journal(place, "b") == journal(place, "a")


def test_an_interrupted_sweep_ends_with_the_job_that_was_interrupted(place):
    code, said = stop(signal.SIGINT, 14, "e", "-m", "seed=1,2", cwd=place)
    assert code == 130
    assert "job 1 of 2" in said
    assert "job 2 of 2" not in said


@pytest.mark.parametrize("after", [1, pytest.param(14, marks=pytest.mark.slow)])
def test_a_run_interrupted_with_whoever_reads_what_it_says_goes_on(place, after):
    process = subprocess.Popen(
        command(f"run=tee-{after}"),
        cwd=place,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    folder = place / f"runs/tee-{after}"
    wait_until(lambda: len(lines(folder / "journal.jsonl")) >= after, 60)
    # Both at once, as at a terminal: it says nothing in between.
    process.send_signal(signal.SIGSTOP)
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 130
    assert len(lines(folder / "journal.jsonl")) >= after


def lines(path):
    return path.read_bytes().splitlines() if path.exists() else []


def test_an_unfinished_run_refuses_other_settings(place):
    stop(signal.SIGKILL, 1, "d", "seed=1", cwd=place)
    done = evolve("run=d", "seed=2", cwd=place)
    assert (done.returncode, done.stdout) == (1, "")
    assert "was begun with seed=1, not 2" in done.stderr


@pytest.mark.slow
def test_recorded_replies_give_the_same_journal_without_the_model(finished, place):
    again = ("llm=recorded", "llm.path=runs/a/replies.jsonl", "run=c")
    done = evolve(*again, cwd=place)
    assert done.returncode == 0, done.stderr
    assert journal(place, "c") == journal(place, "a")


@pytest.mark.slow
def test_an_endpoint_that_answers_only_500_is_down_and_not_stalled(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(ENVIRONMENT, "NO_PROXY", "127.0.0.1")
    with Server(error(500, "out of order")) as server:
        typed = ("llm=openai", "llm.model=x", f"llm.base_url={server.url}", "run=a")
        done = evolve(*typed, "llm.max_retries=0", cwd=tmp_path)
    assert done.returncode == 1
    assert "nothing is lost, to go on: " in done.stderr.splitlines()[-1]
    assert b'"stop"' not in journal(tmp_path, "a")


@pytest.mark.slow
def test_a_search_that_the_clock_ended_is_repeated_from_its_replies(place):
    timed = ("budget.evaluations=null", "budget.seconds=1.0", "contenders=1")
    done = evolve(*timed, "run=f", cwd=place)
    assert "ended: seconds" in done.stderr, done.stderr
    again = ("llm=recorded", "llm.path=runs/f/replies.jsonl", "run=g")
    done = evolve(*timed, *again, cwd=place)
    assert done.returncode == 0, done.stderr
    assert journal(place, "g") == journal(place, "f")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["problem.validation_seeds=1"], "validation_seeds is 1; two halves"),
        (["contenders=0"], "contenders is 0"),
        (["limits.cpu_s=inf"], "cpu_s is inf; expected at most 1000000000"),
        (["limits.memory_bytes=99999999999999999999"], "memory_bytes is 9999"),
        (["deployment.max_step_tokens=100000000"], "expected at most 1048576"),
        (["llm=recorded", "llm.path=nope"], "nope"),
        (["llm.provider=foo"], "unknown provider 'foo'; there are offline"),
        (["budget.evaluations=null"], "all null; expected a limit"),
    ],
    ids=" ".join,
)
def test_what_the_verdict_will_need_is_asked_for_before_the_search(
    tmp_path, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(tmp_path)
    assert main(["evolve", *SMALL, *words, "run=a"]) in (1, 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err.splitlines()[-1]
    assert not (tmp_path / "runs/a").exists()


def test_a_refused_run_leaves_the_secret_that_was_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "runs/a/secret"
    secret.parent.mkdir(parents=True)
    secret.write_text("ab" * 32 + "\n")
    assert main(["evolve", *SMALL, "problem.validation_seeds=1", "run=a"]) == 1
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]
    assert secret.read_text() == "ab" * 32 + "\n"


def test_a_recording_too_short_for_validation_is_refused_before_the_search(
    tmp_path, monkeypatch, capsys
):
    rows = [f"2023-11-16 18:{s // 60:02}:{s % 60:02},100,8\n" for s in range(100)]
    head = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    (tmp_path / "azure_llm_2023_conv.csv").write_text(head + "".join(rows))
    monkeypatch.chdir(tmp_path)
    replay = ("workload=azure_llm_2023_conv", f"data={tmp_path}", "run=a")
    assert main(["evolve", *SMALL, *replay]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "the picking half of validation holds 10 requests; asked for 30" in last
    assert not (tmp_path / "runs/a").exists()


def test_other_exams_than_a_run_was_begun_with_are_refused(tmp_path):
    path, header = tmp_path / "journal.jsonl", Header("scheduling", 0, "x")
    for train in ("these (1)", "these (1)"):
        with Archive.open(path, header) as archive:
            hold_to(train, "public", archive)
    assert path.read_text().count('"exams"') == 1
    with (
        Archive.open(path, header) as archive,
        pytest.raises(ValueError, match=r"other exams \(these \(1\); now these \(2\)"),
    ):
        hold_to("these (2)", "public", archive)
    with (
        Archive.open(path, header) as archive,
        pytest.raises(ValueError, match="begun with another secret; bring its file"),
    ):
        hold_to("these (1)", mark(b"another"), archive)


@pytest.mark.slow
def test_two_runs_draw_validations_that_nothing_in_their_folders_but_the_secret_tells(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    few = ("budget.evaluations=1", "contenders=1", "problem.validation_seeds=2")
    for name in "ab":
        assert main(["evolve", *SMALL, *few, "secret=null", f"run={name}"]) == 0
    sat = [json.loads(journal(tmp_path, run).splitlines()[-1]) for run in "ab"]
    names = [event["facts"]["exams"] for event in sat]
    assert names[0] != names[1]
    secret = (tmp_path / "runs/a/secret").read_bytes().strip()
    told = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "secret"]
    assert len(told) > 8
    assert not [path for path in told if secret in path.read_bytes()]
    capsys.readouterr()
    score = [word for word in SMALL if word.startswith("problem.")]
    words = ("split=validation", "problem.validation_seeds=2", "format=json")
    assert main(["score", "fcfs", *score, *words, "secret=runs/a/secret"]) == 0
    assert json.loads(capsys.readouterr().out)["exams"] == names[0]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    done = evolve(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "cannot write to" in done.stderr


def test_a_model_without_a_key_is_one_line(tmp_path, monkeypatch):
    monkeypatch.delitem(ENVIRONMENT, "OPENAI_API_KEY", raising=False)
    done = evolve("llm=openai", "llm.model=x", cwd=tmp_path)
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_endpoint_that_never_answered_ends_soon_and_says_how_to_go_on(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(ENVIRONMENT, "OPENAI_API_KEY", "any")
    url = "llm.base_url=http://127.0.0.1:9/v1"
    done = evolve("llm=openai", "llm.model=x", url, "llm.max_retries=0", cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "127.0.0.1:9" in last
    assert "nothing is lost, to go on: " in last
    assert "Traceback" not in done.stderr
