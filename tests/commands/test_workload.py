"""``adrs workload``: the numbers and pictures of whatever is configured."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from adrs.main import main
from adrs.workloads import configured

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = [f"2023-11-16 18:00:{second:02d},{100 + second},8\n" for second in range(60)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("caller"))


def recorded(folder, text):
    (folder / "azure_llm_2023_conv.csv").write_text(text)
    return ["workload", "azure_llm_2023_conv", f"data={folder}"]


def test_the_default_prints_the_table_and_the_histograms(capsys):
    assert main(["workload"]) == 0
    text = capsys.readouterr().out
    assert "workload synthetic" in text
    assert "interactive" in text
    for title in ("prompt tokens", "output tokens"):
        assert f"requests by {title}" in text
    assert "requests / s by time of arrival" in text
    assert "####" in text


def test_the_picture_is_drawn_where_the_last_line_says(capsys):
    assert main(["workload", "tidal"]) == 0
    assert capsys.readouterr().out.endswith(
        "plot: runs/workload-tidal-code-reasoning.svg\n"
    )
    picture = ElementTree.parse("runs/workload-tidal-code-reasoning.svg")
    assert len(list(picture.iter())) > 100


def test_workloads_of_one_kind_have_names_and_pictures_of_their_own(capsys):
    for name in ("hot_prefix", "shared_documents"):
        assert main(["workload", name]) == 0
        assert f"workload {name}\n" in capsys.readouterr().out
    assert len(list(Path("runs").glob("workload-*.svg"))) == 2
    assert main(["workload", "shared_documents", "workload.name=../x"]) == 1
    assert "workload.name is '../x'; expected letters" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_line_with_the_way_out(capsys):
    Path("runs").write_text("no folder")
    assert main(["workload"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: cannot write to {Path('runs').absolute()}/workload")
    assert said.endswith("a folder that is writable, or say plot=FILE\n")
    assert said.count("\n") == 1


def test_the_picture_is_drawn_where_it_is_asked_for(capsys, tmp_path):
    path = tmp_path / "new" / "a.svg"
    assert main(["workload", "power_law", f"plot={path}", "format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["plot"] == str(path)
    assert path.read_text().startswith("<svg")


def test_relations_are_told_where_there_are_some(capsys):
    assert main(["workload", "agents", "workload.prefix_tokens=160"]) == 0
    text = capsys.readouterr().out
    for row in ("prompt blocks", "hits of an endless cache", "sessions", "for tools"):
        assert row in text
    assert "uses of prefix blocks" in text
    assert "requests by wait before them" in text
    assert main(["workload", "priorities_markov"]) == 0
    assert "4 levels" in capsys.readouterr().out


def test_a_batch_comes_at_once(capsys):
    assert main(["workload", "documents"]) == 0
    assert "all at once" in capsys.readouterr().out


def test_a_recording_is_read_from_the_data_folder_and_printed_as_json(capsys, tmp_path):
    assert main([*recorded(tmp_path, AZURE + "".join(ROWS)), "format=json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["requests"] == 60
    assert numbers["duration_s"] == 59
    assert numbers["prompt_tokens"]["most"] == 159
    assert numbers["dispersion"][2] is None


def test_one_request_has_no_rate_and_json_has_no_infinity(capsys, tmp_path):
    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    assert main([*recorded(tmp_path, AZURE + ROWS[0]), "format=json"]) == 0
    numbers = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert numbers["requests"] == 1
    assert numbers["rate_per_s"] is None


def test_an_empty_trace_is_one_line_and_exit_code_1(capsys, tmp_path):
    assert main(recorded(tmp_path, AZURE)) == 1
    assert "holds no request" in capsys.readouterr().err


def test_a_negative_length_is_one_line_that_names_the_row(capsys, tmp_path):
    assert main(recorded(tmp_path, AZURE + "2023-11-16 18:00:00,-3,8\n")) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "row 1: ContextTokens is -3" in error


def test_a_file_of_its_own_wins_over_the_data_folder(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(AZURE + ROWS[0])
    section = {"kind": "azure", "trace": "mine", "data": str(path)}
    assert len(configured(section, "/nowhere").whole(0)) == 1
