"""The console command as it is typed: exit codes, one line, the right stream."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adrs.commands import doctor
from evaluators.workloads.catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]


def adrs(*words, cwd, before=""):
    return subprocess.run(
        [sys.executable, "-m", "adrs.main", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{before}{ROOT}"},
        capture_output=True,
        text=True,
    )


def shell(line, cwd):
    """The command with redirections."""
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -m adrs.main {line}"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_help_lists_every_verb_and_imports_nothing_heavy(tmp_path):
    done = adrs("--help", cwd=tmp_path)
    for verb in ("evolve", "score", "leaderboard", "workload", "fetch", "doctor"):
        assert f"\n  {verb}" in done.stdout
    code = "import sys, adrs.main as m; m.main(['--help']); print(sorted(sys.modules))"
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for heavy in ("hydra", "numpy", "mlflow", "openai", "joblib"):
        assert f"'{heavy}'" not in listed


def test_the_help_of_a_verb_lists_its_groups_and_keys(tmp_path):
    done = adrs("evolve", "--help", cwd=tmp_path)
    assert "workload: " in done.stdout
    assert "\n  seed=0\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["evlove"], 2, "unknown verb evlove; did you mean evolve?"),
        (["evolve", "problm=scheduling"], 2, "did you mean problem?"),
        (["evolve", "+x=1"], 2, "cannot be added"),
        (["evolve", "--fast"], 2, "unknown flag --fast"),
        (["score"], 2, "adrs score FILE"),
        (["score", "nowhere.py"], 1, "no policy file nowhere.py; the baselines"),
        (["score", "fcfs", "split=test"], 1, "there are train, validation"),
        (["score", "fcfs", "problem.name=nope"], 1, "unknown problem 'nope'; there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line_on_stderr(tmp_path, words, code, said):
    done = adrs(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_policy_that_is_no_python_is_one_line_with_the_line_at_fault(tmp_path):
    (tmp_path / "broken.py").write_text("class A:\n    def b(:\n")
    done = adrs("score", "broken.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: broken.py: source: line 2: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["--help", "leaderboard --help", "leaderboard"])
def test_an_output_that_takes_no_more_is_one_line(tmp_path, words):
    done = shell(f"{words} >/dev/full", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write to stdout: No space left")
    assert done.stderr.count("\n") == 1


def test_streams_that_are_closed_take_what_is_said_and_harm_nothing(tmp_path):
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        done = shell(f"leaderboard {closed}", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert "no finished campaign" in shell("leaderboard 2>&-", cwd=tmp_path).stdout


def test_a_sweep_runs_every_job_and_says_which(tmp_path):
    done = adrs("leaderboard", "-m", "format=text,json", cwd=tmp_path)
    assert "job 2 of 2: format=json" in done.stderr
    assert "no finished campaign" in done.stdout
    assert '"rows": []' in done.stdout


def test_doctor_finds_a_foreign_package_of_our_name(tmp_path, monkeypatch):
    assert doctor.foreign().works is True
    place = tmp_path / "adrs-1.14.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Name: adrs\nVersion: 1.14.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = doctor.foreign()
    assert found.works is False
    assert "pip uninstall adrs" in found.detail


def test_doctor_finds_that_limits_hold_and_whether_runs_can_be_written(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert doctor.limits().works is True
    assert doctor.runs().works is True
    assert str(tmp_path) in doctor.runs().detail


def test_doctor_counts_the_traces_that_fetch_would_have_put_there(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ADRS_DATA", str(tmp_path))
    (tmp_path / "notes.txt").write_text("no trace")
    assert doctor.traces(None).works is None
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "mooncake_synthetic.jsonl").write_text("{}")
    for folder in (None, str(tmp_path)):
        found = doctor.traces(folder)
        assert found.works is True
        assert (
            found.detail == f"1 of {len(CATALOGUE)} in {tmp_path}: mooncake_synthetic"
        )
    assert doctor.traces(str(tmp_path / "nowhere")).works is False


SMALL = (
    "problem.n_requests=40",
    "problem.regimes=[1.2]",
    "problem.train_seeds=1",
    "problem.validation_seeds=2",
)


def test_score_shows_every_scenario_and_writes_a_timeline(tmp_path):
    words = ("score", "least_slack", *SMALL, "split=validation", "format=json")
    words += ("trace=timeline.json",)
    done = adrs(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert len(facts["outcomes"]) == 2
    assert facts["exams"].startswith("scheduling, synthetic on h100_llama31_8b, 2 ")
    assert 0 < facts["score"] <= 1
    assert facts["isolation"] == "strict"
    events = json.loads((tmp_path / "timeline.json").read_text())["traceEvents"]
    tracks = {event["tid"] for event in events if event["ph"] == "X"}
    assert len(tracks) == 40
    assert {"prefill", "decode"} <= {e["name"] for e in events if e["ph"] == "X"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "no class has a hook; they are admit_key, "),
        (
            "class A:\n    def admit_key(self, waiting):\n        return 1\n",
            "line 2: admit_key takes other arguments; write def admit_key(self, ",
        ),
    ],
    ids=["an empty file", "other arguments"],
)
def test_a_file_without_a_hook_is_one_line_before_it_is_judged(tmp_path, source, said):
    (tmp_path / "bad.py").write_text(source)
    done = adrs("score", "bad.py", *SMALL, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: bad.py is no policy of scheduling: " + said)
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_exams_that_every_policy_passes_are_told_and_a_lost_timeline_too(tmp_path):
    words = ("lru", "problem=eviction", "workload=synthetic", *SMALL, "trace=a/t.json")
    done = adrs("score", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert "train score 1.0000" in done.stdout
    warning, error = done.stderr.splitlines()
    assert warning.startswith("warning: 1 of 1 exams leave a policy nothing to gain")
    assert error.startswith(f"error: cannot write to {tmp_path}/a/t.json: No such file")
    assert error.endswith("or say trace=FILE")


def test_score_prints_the_typed_failure_of_a_policy(tmp_path):
    source = (
        "class A:\n    def admit_key(self, waiting, engine):\n        return 1 / 0\n"
    )
    (tmp_path / "bad.py").write_text(source)
    done = adrs("score", "bad.py", *SMALL, cwd=tmp_path)
    assert done.returncode == 1
    assert "exception: admit_key: line 3: ZeroDivisionError" in done.stdout
    assert "\ntrain exams: scheduling, synthetic on h100_llama31_8b, 1 " in done.stdout


def test_ctrl_c_in_the_midst_of_making_a_class_ends_with_130(tmp_path):
    # Modules are loaded all the time, and many make classes out of text.
    (tmp_path / "hydra.py").write_text("exec('raise KeyboardInterrupt')\n")
    done = adrs("evolve", cwd=tmp_path, before=f"{tmp_path}:")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
