"""``adrs validate``: measured runs replayed, and what is told of them."""

import json
from pathlib import Path

import pytest

from adrs.main import main
from tests.serving_runs.builders import plain_run

SENT = [(i * 0.5, 100 + i, 20, 0.03, 0.2 + 0.001 * i) for i in range(40)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("caller"))
    monkeypatch.delenv("ADRS_DATA", raising=False)


def own_runs(folder):
    plain_run(folder / "slow", SENT, workload="mine")
    twice = [(at / 4, n, out, ttft * 2, e2e * 2) for at, n, out, ttft, e2e in SENT]
    plain_run(folder / "fast", twice, workload="mine")
    return f"runs={folder}"


def test_a_folder_of_one_s_own_runs_gives_errors_targets_and_rankings(capsys, tmp_path):
    assert main(["validate", own_runs(tmp_path)]) == 0
    text = capsys.readouterr().out
    for title in ("## Targets", "## Rankings", "## Errors"):
        assert title in text
    assert "| slow | test | llama31_8b_h100 |" in text
    assert "open loop: rate, e2e_mean" in text
    assert "Fitting rows among these: none" in text


def test_the_same_text_is_written_where_it_is_asked_for(capsys, tmp_path):
    output = tmp_path / "new" / "validation.md"
    runs = own_runs(tmp_path / "runs")
    assert main(["validate", runs, f"output={output}"]) == 0
    assert output.read_text() == capsys.readouterr().out


def test_the_numbers_come_as_json(capsys, tmp_path):
    assert main(["validate", own_runs(tmp_path), "format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["points"] == 2
    assert set(found["errors"]) == {"slow", "fast"}
    assert found["errors"]["slow"]["e2e_mean"] < 0


def test_missing_data_is_told_in_one_line_with_a_way_out(capsys, tmp_path):
    assert main(["validate", f"data={tmp_path}"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "does not exist; name a file or folder with runs=PATH" in lines[0]


def test_runs_that_no_calibration_fits_are_told_in_one_line(capsys, tmp_path):
    plain_run(tmp_path / "odd", SENT, model="someone/Odd-3B", tp=3)
    assert main(["validate", f"runs={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no calibration of odd-3b on h100, 3 ranks" in error


def test_a_single_file_can_be_named(capsys, tmp_path):
    path = plain_run(tmp_path / "one", SENT)
    assert main(["validate", f"runs={path}"]) == 0
    assert "| one | test |" in capsys.readouterr().out
    assert not Path("runs").exists()
