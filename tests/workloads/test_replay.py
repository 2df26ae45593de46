"""Replay: windows of a recording, never across its splits, at the asked pace."""

import gzip

import numpy as np
import pytest

from evaluators.workloads import azure, mooncake
from evaluators.workloads.replay import Recording, Replay, find

N = 1000


def recorded(n=N, stamp_s=0.0, every_s=1.0):
    """Rows whose lengths tell which row they are."""
    rows = np.arange(1, n + 1)
    stamps = np.floor(rows * every_s / stamp_s) * stamp_s if stamp_s else rows * every_s
    return Recording(stamps.astype(float), rows, 2 * rows, stamp_s)


def replay(recording=None):
    recording = recording or recorded()
    return Replay("test", lambda: recording, n_tenants=5, prediction_error=0.5)


@pytest.mark.parametrize(
    ("split", "first", "last"),
    [("train", 1, 600), ("validation", 600, 801), ("held_out", 800, 1000)],
)
def test_a_window_never_leaves_its_part_of_the_recorded_time(split, first, last):
    rows = [replay().draw(split, seed, 3.0, 20).prompt_tokens for seed in range(200)]
    assert first <= np.min(rows) <= first + 30
    assert last - 30 <= np.max(rows) <= last


def test_the_splits_share_no_row_and_together_are_all_rows():
    parts = [
        replay().draw(split, 0, 1.0, n).prompt_tokens
        for split, n in (("train", 600), ("validation", 200), ("held_out", 200))
    ]
    assert np.concatenate(parts).tolist() == list(range(1, N + 1))


def test_a_window_is_consecutive_rows_with_their_lengths_and_the_asked_rate():
    trace = replay().draw("train", 7, 4.0, 100)
    assert np.all(np.diff(trace.prompt_tokens) == 1)
    assert np.array_equal(trace.output_tokens, 2 * trace.prompt_tokens)
    assert trace.duration_s == pytest.approx(100 / 4.0)


def test_the_whole_recording_keeps_every_row_and_its_pace():
    trace = replay().whole(0)
    assert np.array_equal(trace.prompt_tokens, np.arange(1, N + 1))
    assert trace.duration_s == pytest.approx(N - 1)


def test_equal_seeds_give_equal_traces_and_others_do_not():
    traces = [replay().draw("train", seed, 1.0, 50) for seed in (1, 1, 2)]
    for column in ("arrived_ps", "prompt_tokens", "predicted_tokens", "tenant"):
        first, again, _ = (getattr(trace, column) for trace in traces)
        assert np.array_equal(first, again)
    assert not np.array_equal(traces[0].prompt_tokens, traces[2].prompt_tokens)


def test_quantised_stamps_are_spread_within_their_grid_in_the_rows_order():
    recording = recorded(stamp_s=3.0, every_s=0.1)
    trace = replay(recording).whole(0)
    arrived_s = trace.arrived_ps / 1e12
    assert len(set(arrived_s.tolist())) == N
    assert np.array_equal(trace.prompt_tokens, recording.prompt_tokens)
    since_s = arrived_s - arrived_s[0] - (recording.arrived_s - recording.arrived_s[0])
    assert np.ptp(since_s) == pytest.approx(3.0, abs=0.3)


def test_more_requests_than_a_part_holds_are_refused():
    with pytest.raises(ValueError, match="held_out part holds 200 requests; asked"):
        replay().draw("held_out", 0, 1.0, 201)


def test_a_missing_file_says_where_it_was_sought_and_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="adrs fetch azure_llm_2023_conv") as e:
        azure.build(data=str(tmp_path))
    assert str(tmp_path) in str(e.value)
    assert "workload.data=PATH" in str(e.value)


@pytest.mark.parametrize("place", ["a.csv", "a.csv.gz", "traces/a.csv"])
def test_a_file_is_found_in_a_data_folder_and_by_its_own_path(tmp_path, place):
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.touch()
    assert find("a", ("a.csv",), str(tmp_path)) == file
    assert find("a", ("a.csv",), str(file)) == file


AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44"
ROW = "\r\n2023-11-16 18:15:47.6805900,396,109"


def azure_file(folder, text):
    path = folder / "trace.csv"
    path.write_text(text, newline="")
    return path


def test_the_azure_format_is_read_plain_and_compressed(tmp_path):
    plain = azure.read(azure_file(tmp_path, AZURE + ROW))
    packed = tmp_path / "trace.csv.gz"
    packed.write_bytes(gzip.compress((AZURE + ROW).encode()))
    for recording in (plain, azure.read(packed)):
        np.testing.assert_allclose(recording.arrived_s, [0, 1])
        assert recording.prompt_tokens.tolist() == [374, 396]
        assert recording.output_tokens.tolist() == [44, 109]


def test_rows_out_of_order_are_sorted_by_time(tmp_path):
    earlier = "\n2023-11-16 18:15:45.6805900,7,8"
    recording = azure.read(azure_file(tmp_path, AZURE + earlier))
    assert recording.prompt_tokens.tolist() == [7, 374]
    np.testing.assert_allclose(recording.arrived_s, [0, 1])


def test_a_changed_file_is_read_again(tmp_path):
    path = azure_file(tmp_path, AZURE)
    assert len(azure.read(path).arrived_s) == 1
    azure_file(tmp_path, AZURE + ROW)
    assert len(azure.read(path).arrived_s) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a recorded trace"),
        (AZURE.splitlines()[0], "holds no request; expected at least one"),
        ("a,b,c\n1,2,3", "has columns .*a.*; expected .*TIMESTAMP"),
        (AZURE + "\n2023-11-16 18:15:50,-5,3", "row 2: ContextTokens is -5; expected"),
        (AZURE + "\n2023-11-16 18:15:50,5,x", "row 2: GeneratedTokens is x; expected"),
        (AZURE + "\n2023-11-16 18:15:50,5,", "row 2: GeneratedTokens is ; expected"),
        (AZURE + "\nyesterday,5,3", "row 2: TIMESTAMP is yesterday; expected"),
        (AZURE + "\n,5,3", "row 2: TIMESTAMP is missing"),
        (AZURE + "\n2023-11-16 18:15:50,5", "row 2: 2 values; expected 3"),
    ],
)
def test_a_bad_azure_file_is_refused_in_one_line_naming_row_column_and_value(
    tmp_path, text, message
):
    with pytest.raises(ValueError, match=message) as caught:
        azure.read(azure_file(tmp_path, text))
    assert "\n" not in str(caught.value)


MOONCAKE = '{"timestamp": 3000, "input_length": 8, "output_length": 5, "hash_ids": [0]}'


def mooncake_file(folder, text):
    path = folder / "trace.jsonl"
    path.write_text(text)
    return path


def test_the_mooncake_format_is_read_with_its_stamps(tmp_path):
    later = MOONCAKE.replace("3000", "6000").replace("8", "9")
    recording = mooncake.read(mooncake_file(tmp_path, f"{MOONCAKE}\n{later}\n"), 3.0)
    assert recording.arrived_s.tolist() == [3.0, 6.0]
    assert recording.prompt_tokens.tolist() == [8, 9]
    assert recording.output_tokens.tolist() == [5, 5]
    assert recording.stamp_s == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "is empty; expected a recorded trace"),
        (MOONCAKE + "\n{", "row 2: '{' is not a JSON object"),
        (MOONCAKE + "\n[]", "row 2: .* is not a JSON object"),
        (MOONCAKE.replace("input", "in"), "row 1: column 'input_length' is missing"),
        (MOONCAKE.replace(" 5", " -5"), "row 1: output_length is -5; expected"),
        (MOONCAKE.replace(" 8", " 8.5"), "row 1: input_length is 8.5; expected"),
        (MOONCAKE.replace("3000", "null"), "row 1: timestamp is None; expected"),
    ],
)
def test_a_bad_mooncake_file_is_refused_in_one_line_naming_row_column_and_value(
    tmp_path, text, message
):
    with pytest.raises(ValueError, match=message) as caught:
        mooncake.read(mooncake_file(tmp_path, text), 3.0)
    assert "\n" not in str(caught.value)


def test_a_broken_archive_is_refused_in_one_line(tmp_path):
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(AZURE.encode())[:-20])
    with pytest.raises(ValueError, match="is not a readable trace"):
        azure.read(path)
