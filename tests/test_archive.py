"""What the journal promises: order, durability, one writer, and replay at any byte."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from adrs.archive import Archive, ArchiveError
from adrs.candidate import Trial, candidate
from adrs.records import Event, Header, Proposed, Rejected
from evaluators.evaluation import Evaluation, Failure, Outcome
from tests.loop_parts import HEADER, ROOT, judge, run

WRITER = """
import sys, time
from pathlib import Path
from adrs.archive import Archive
from tests.loop_parts import HEADER
archive = Archive.open(Path(sys.argv[1]), HEADER)
print("open", flush=True)
time.sleep(60)
"""


def policy(knob):
    return candidate(f"class K:\n    knob = {knob}\n    rank = None\n", origin="test")


def filled(path, n_trials=3):
    with Archive.open(path, HEADER) as archive:
        for slot in range(n_trials):
            made = policy(slot)
            archive.append(Proposed(0, slot, made, tokens=5, usd=0.1))
            archive.append(Trial(0, slot, made, judge(made.source)))
    return path.read_bytes()


def test_a_trial_is_read_back_as_it_was_recorded(tmp_path):
    made = candidate('"""Idea: ☃."""\nclass K:\n    rank = 1\n', origin="test")
    outcomes = (
        Outcome("calm", 0.8, 0.1 + 0.2, {"ttft_p99_s": 1e-17}, "worst\n```case"),
        Outcome("busy", 1.2, 0.0, {}, "", Failure("crash", "signal 11")),
    )
    trial = Trial(0, 0, made, Evaluation(outcomes, "rlimits"))
    with Archive.open(tmp_path / "j.jsonl", HEADER) as archive:
        archive.append(Proposed(0, 0, made), trial)
        assert archive.trial(made.id) == trial
        assert archive.rows[0].failure == trial.evaluation.failure
        assert archive.rows[0].score == trial.evaluation.score


def test_reopening_gives_the_same_index(tmp_path):
    path = tmp_path / "j.jsonl"
    filled(path)
    with Archive.open(path, HEADER) as archive:
        rejected = Rejected(1, 0, "edit", "hunk 1", 7, 0.2)
        archive.append(rejected, Event("stop", 2, {"reason": "tokens"}))
        before = archive.rows, archive.events, archive.settled(1), archive.as_of(1)
    with Archive.read(path) as again:
        assert (again.rows, again.events, again.settled(1), again.as_of(1)) == before


def test_a_journal_cut_at_any_byte_reopens_with_its_whole_lines(tmp_path):
    path = tmp_path / "j.jsonl"
    whole = filled(path)
    header = whole.index(b"\n") + 1
    for size in range(header, len(whole)):
        path.write_bytes(whole[:size])
        Archive.open(path, HEADER).close()
        assert path.read_bytes() == whole[: whole[:size].rindex(b"\n") + 1]


def test_reading_a_journal_in_mid_write_changes_nothing(tmp_path):
    path = tmp_path / "j.jsonl"
    torn = filled(path)[:-3]
    path.write_bytes(torn)
    with Archive.read(path) as archive:
        assert len(archive.rows) == 2
        with pytest.raises(ArchiveError, match="reading only"):
            archive.append(Event("stop", 1, {}))
    assert path.read_bytes() == torn


def test_a_corrupt_line_is_named_and_left_alone(tmp_path):
    path = tmp_path / "j.jsonl"
    lines = filled(path).split(b"\n")
    lines[2] = lines[2][:-5] + b"#####"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ArchiveError, match=r"j\.jsonl line 3 is corrupt"):
        Archive.open(path, HEADER)
    assert path.read_bytes() == b"\n".join(lines)


def test_a_journal_of_another_configuration_is_refused(tmp_path):
    path = tmp_path / "j.jsonl"
    filled(path)
    with pytest.raises(ArchiveError, match="belongs to another run"):
        Archive.open(path, Header("knob", 8, "c0ffee"))


def test_a_second_writer_is_refused_until_the_first_is_killed(tmp_path):
    path = tmp_path / "j.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(ArchiveError, match="being written by another process"):
            Archive.open(path, HEADER)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    Archive.open(path, HEADER).close()


def test_a_place_that_is_not_writable_is_one_clear_line():
    with pytest.raises(ArchiveError, match="cannot write to /proc/runs/"):
        Archive.open(type(ROOT)("/proc/runs/j.jsonl"), HEADER)


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path):
    path = tmp_path / "j.jsonl"
    whole = filled(path)
    with Archive.open(path, HEADER) as archive:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 40, before[1]))
        try:
            with pytest.raises(ArchiveError, match="its 3 trials are safe"):
                archive.append(Proposed(1, 0, policy(9)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert path.read_bytes() == whole
        archive.append(Proposed(1, 0, policy(9)))
        assert archive.candidate(policy(9).id) == policy(9)


def test_a_round_sees_nothing_recorded_for_later_rounds(tmp_path):
    path = tmp_path / "j.jsonl"
    run(path)
    with Archive.read(path) as archive:
        for number in range(5):
            history = archive.as_of(number)
            assert {row.round for row in history.rows} == set(range(number + 1))
            assert all(each.round <= number for each in history.rejections)


def test_what_a_trial_holds_in_memory_does_not_grow_with_its_feedback(tmp_path):
    path = tmp_path / "j.jsonl"
    with Archive.open(path, HEADER) as archive:
        for slot in range(300):
            made = policy(slot)
            outcome = Outcome("calm", 1.0, 0.5, {"m": 1.0}, "x" * 50_000)
            archive.append(
                Proposed(0, slot, made),
                Trial(0, slot, made, Evaluation((outcome,), "none")),
            )
    before = _resident_bytes()
    with Archive.read(path) as archive:
        assert len(archive.rows) == 300
        assert _resident_bytes() - before < 5_000_000


def _resident_bytes():
    pages = int((type(ROOT)("/proc/self/statm")).read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
