"""``adrs workload``: the numbers and pictures of whatever is configured."""

import json

from adrs.main import main
from adrs.workloads import configured

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = [f"2023-11-16 18:00:{second:02d},{100 + second},8\n" for second in range(60)]


def recorded(folder, text):
    (folder / "azure_llm_2023_conv.csv").write_text(text)
    return ["workload", "azure_llm_2023_conv", f"data={folder}"]


def test_the_default_prints_the_table_and_the_histograms(capsys):
    assert main(["workload"]) == 0
    text = capsys.readouterr().out
    assert "workload synthetic" in text
    assert "interactive" in text
    for title in ("prompt tokens", "output tokens", "time of arrival"):
        assert f"requests by {title}" in text
    assert "####" in text


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
