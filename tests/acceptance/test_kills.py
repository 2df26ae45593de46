"""kill -9 at any moment: nothing recorded is lost, nothing runs on, it resumes."""

import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from adrs.pool import ATTEMPTS
from evaluators.confine import adopt_orphans
from evaluators.kernel import prctl
from tests.acceptance.command import ENVIRONMENT, SHORT, evolve, records, words
from tests.test_pool import command
from tests.test_sandbox import below, processes, wait_until

TWELVE = ("budget.evaluations=12", "secret=public")
"""A secret of each run's own would have each draw validations of its own."""

KILLS = 100
KILLS_OF_A_RUN = 20
"""After so many a run may end, however slow this machine has become."""

MOST_TIMES = ATTEMPTS - 1
"""That workers are killed in a run: a task that is in hand once more stops it."""

STOP_ADOPTING = 36
"""PR_SET_CHILD_SUBREAPER, with 0: other tests want their orphans buried by others."""

JOURNALS = ("journal.jsonl", "control.jsonl")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def replies(place):
    """What the offline model said in a run, and that run."""
    done = evolve("run=offline", *TWELVE, cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "runs/offline/replies.jsonl"


@contextmanager
def adopting():
    """What a killed child leaves becomes ours, wherever it hides; gives what was."""
    adopt_orphans()
    try:
        yield below(os.getpid())
    finally:
        prctl(STOP_ADOPTING, 0)


@pytest.fixture
def orphans():
    with adopting() as before:
        yield before


def alive(process):
    """Whether it runs; a child of ours that has ended is buried."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, parent = stat.rpartition(")")[2].split()[:2]
    if state == "Z" and int(parent) == os.getpid():
        os.waitpid(process, os.WNOHANG)
    return state != "Z"


def killed(typed, place, after_s):
    """Kill the run after that time; whether it had not ended, and what it said."""
    with (place / "said.txt").open("w") as said:
        process = subprocess.Popen(
            words("evolve", *SHORT, *typed),
            cwd=place,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        code = process.wait()
    assert code in (0, -signal.SIGKILL), (place / "said.txt").read_text()
    return code != 0, (place / "said.txt").read_text()


def left_behind(orphans):
    """What still runs below this process, if that does not end within seconds."""
    deadline_s = time.monotonic() + 20.0
    while left := [p for p in below(os.getpid()) - orphans if alive(p)]:
        if time.monotonic() > deadline_s:
            return [(p, command(p), status(p)) for p in left]
        time.sleep(0.01)
    return []


def status(process):
    """What the kernel says of it, and where in the kernel it is."""
    found = Path(f"/proc/{process}")
    return (found / "status").read_text()[:400], (found / "wchan").read_text()


def whole_lines(folder):
    """The lines of the two journals that end, as they are on the disk."""
    found = {}
    for name in JOURNALS:
        path = folder / name
        data = path.read_bytes() if path.exists() else b""
        found[name] = data[: data.rfind(b"\n") + 1]
    return found


def logs(folder):
    """The logs of decisions with their places, and whatever else lies among them."""
    found = (folder / "decisions").rglob("*")
    return {p.relative_to(folder): p.read_bytes() for p in found if p.is_file()}


@pytest.mark.slow
def test_a_run_killed_before_its_last_word_says_and_reports_it_again(place, replies):
    folder = replies.parent
    before = whole_lines(folder)
    (folder / "summary.txt").rename(place / "summary.txt")
    (folder / "winner.py").unlink()
    again = evolve("run=offline", *TWELVE, cwd=place)
    assert again.returncode == 0, again.stderr
    assert "resuming run offline after" in again.stderr
    assert whole_lines(folder) == before
    assert (folder / "winner.py").exists()
    said = (folder / "summary.txt").read_text()
    assert said == (place / "summary.txt").read_text()
    assert again.stdout.startswith(said)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_journals_in_another_folder(place, replies):
    other = place / "elsewhere"
    other.mkdir()
    typed = ("run=x", *TWELVE, "workers=1")
    assert evolve(*typed, cwd=other).returncode == 0
    assert whole_lines(other / "runs/x") == whole_lines(replies.parent)


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_and_leave_nothing(place, replies, orphans):
    typed = ("llm=recorded", f"llm.path={replies}", *TWELVE)
    started_s = time.monotonic()
    done = evolve(*typed, "run=whole", cwd=place)
    whole_s = time.monotonic() - started_s
    assert done.returncode == 0, done.stderr
    expected = whole_lines(place / "runs/whole")
    expected_logs = logs(place / "runs/whole")
    assert len(expected_logs) > 12
    moments = random.Random(20)
    n_kills = n_runs = 0
    while n_kills < KILLS:
        n_runs += 1
        name = f"killed-{n_runs}"
        folder = place / "runs" / name
        is_over, n_left = False, KILLS_OF_A_RUN
        while not is_over:
            before = whole_lines(folder)
            after_s = moments.uniform(0.05, whole_s / 2) if n_left else None
            was_killed, said = killed((*typed, f"run={name}"), place, after_s)
            after = whole_lines(folder)
            assert all(after[j].startswith(before[j]) for j in JOURNALS)
            if before["journal.jsonl"] and said:
                assert said.startswith(f"resuming run {name} after")
            assert not left_behind(orphans)
            n_kills += was_killed
            n_left -= was_killed
            is_over = (folder / "summary.txt").exists()
            assert is_over or was_killed
            lines = [after[j].count(b"\n") for j in JOURNALS]
            print(f"{name}: after {after_s} s, lines {lines}, {was_killed=}")
        assert whole_lines(folder) == expected
        assert logs(folder) == expected_logs
        assert records(folder / "journal.jsonl")[-1]["kind"] == "verdict"
    print(f"{n_kills} kills over {n_runs} runs of {whole_s:.1f} s")


def helpers(driver):
    """Workers of a run and the processes that they fork policies from."""
    parents = processes()
    workers = {p for p in below(driver) if "popen_loky" in command(p)}
    return workers | {p for p in below(driver) if parents.get(p) in workers}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_workers_delay_a_run_and_change_nothing(place, replies, seed):
    typed = (*TWELVE, f"run=workers-{seed}")
    moments = random.Random(seed)
    process = subprocess.Popen(
        words("evolve", *SHORT, *typed),
        cwd=place,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    n_kills = n_times = 0
    while process.poll() is None and n_times < MOST_TIMES:
        time.sleep(moments.uniform(0.3, 1.5))
        hit = sorted(helpers(process.pid))[: moments.randint(1, 2)]
        n_times += bool(hit)
        for helper in hit:
            with suppress(ProcessLookupError):
                os.kill(helper, signal.SIGKILL)
                n_kills += 1
    _, said = process.communicate(timeout=120)
    assert n_kills
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert whole_lines(place / f"runs/workers-{seed}") == whole_lines(replies.parent)


@pytest.mark.slow
def test_a_run_whose_workers_keep_dying_stops_and_is_shown_as_stopped(place, replies):
    process = subprocess.Popen(
        words("evolve", *SHORT, *TWELVE, "tracking=mlflow", "run=hopeless"),
        cwd=place,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = place / "runs/hopeless/journal.jsonl"
    wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 20, 60)
    while process.poll() is None:
        for helper in helpers(process.pid):
            with suppress(ProcessLookupError):
                os.kill(helper, signal.SIGKILL)
        time.sleep(0.01)
    said = process.communicate()[1]
    assert process.returncode == 1
    assert "workers died 3 times over a policy" in said.splitlines()[-1]
    assert "Traceback" not in said
    client = MlflowClient(f"sqlite:///{place}/runs/mlflow.db")
    found = client.search_runs([
        client.get_experiment_by_name("adrs/scheduling").experiment_id
    ])
    assert {run.info.status for run in found} == {"KILLED"}
