"""Replay: windows of a recording, never across its splits, at the asked pace."""

import gzip
import json
from itertools import takewhile

import numpy as np
import pytest

from evaluators.workloads import azure, claude_code, mooncake, ragpulse
from evaluators.workloads.relations import prefixes_of
from evaluators.workloads.replay import Recording, Replay, find
from tests.workloads import samples

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


def common(prefixes, one, other):
    """How many blocks two rows begin with alike."""
    chains = (prefixes.chain(row).tolist() for row in (one, other))
    pairs = zip(*chains, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def test_a_window_shares_among_its_rows_what_the_recording_does():
    rng = np.random.default_rng(0)
    chains = [[0, *np.cumsum(rng.integers(1, 3, 4)) + 10**9] for _ in range(N)]
    shared = prefixes_of(
        1, [[hash((j, *c[: j + 1])) % 2**40 for j in range(5)] for c in chains]
    )
    rows = np.arange(10, N + 10)
    recording = Recording(rows.astype(float), rows, rows, 0.0, shared)
    trace = replay(recording).draw("validation", 3, 1.0, 40)
    first = int(trace.prompt_tokens[0]) - 10
    assert trace.prefixes.ids.max() < 200
    for one, other in [(0, 1), (0, 39), (5, 20), (17, 18)]:
        found = common(trace.prefixes, one, other)
        assert found == common(shared, first + one, first + other) >= 1


def test_only_full_blocks_of_a_mooncake_prompt_are_prefixes(tmp_path):
    lines = [
        MOONCAKE.replace(" 8", f" {tokens}").replace("[0]", "[4, 5]")
        for tokens in (1024, 1023, 512, 511)
    ]
    path = mooncake_file(tmp_path, "\n".join(lines))
    prefixes = mooncake.read(path, 3.0).prefixes
    assert prefixes.block_tokens == 512
    assert np.diff(prefixes.offsets).tolist() == [2, 1, 1, 0]
    assert np.diff(mooncake.blocks(path).offsets).tolist() == [2, 2, 2, 2]


def test_chunks_of_all_lengths_are_cut_into_blocks_known_by_what_they_cover(tmp_path):
    samples.ragpulse(tmp_path, n=4)
    rows = [
        ([0], [100, 101], [1000]),
        ([0], [100, 102], [1001]),
        ([0], [101, 100], [1000]),
        ([1], [100, 101], [1000]),
    ]
    names = ("sys_prompt", "passages_ids", "user_input")
    none = {"history": [], "web_search": []}
    samples.lines(
        tmp_path / "ragpulse" / "0_trace.jsonl",
        [
            {
                "timestamp": str(at),
                "input_length": 190,
                "output_length": 5,
                "hash_ids": {**none, **dict(zip(names, ids, strict=True))},
            }
            for at, ids in enumerate(rows)
        ],
    )
    prefixes = ragpulse.build(data=str(tmp_path), block_tokens=50).read().prefixes
    assert np.diff(prefixes.offsets).tolist() == [3, 3, 3, 3]
    assert [common(prefixes, 0, other) for other in (1, 2, 3)] == [2, 2, 0]
    listed = ragpulse.chunks(tmp_path / "ragpulse" / "0_trace.jsonl")
    assert listed.ids[:4].tolist() == [0, 100, 101, 1000]
    assert listed.tokens[:4].tolist() == [100, 37, 37, 9]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[]", "row 1: '\\[\\]' is not a JSON object"),
        ('{"hash_ids": {}}', "row 1: hash_ids is {}; expected lists of ids by sys_"),
        ('{"timestamp": "x", "hash_ids": IDS}', "row 1: timestamp is x; expected sec"),
        ('{"timestamp": "1", "hash_ids": IDS}', "row 1: input_length is None; expect"),
        ('{"hash_ids": ODD}', "row 1: chunk 77 has no token_length in the files"),
    ],
)
def test_a_bad_ragpulse_file_is_refused_in_one_line(tmp_path, row, message):
    samples.ragpulse(tmp_path, n=4)
    ids = dict.fromkeys(ragpulse.CATEGORIES, ())
    text = row.replace("IDS", json.dumps({**ids, "sys_prompt": [0]}))
    text = text.replace("ODD", json.dumps({**ids, "sys_prompt": [77]}))
    path = tmp_path / "ragpulse" / "0_trace.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        ragpulse.read(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_of_chunk_lengths_is_to_be_fetched_by_its_name(tmp_path):
    samples.ragpulse(tmp_path, n=4)
    (tmp_path / "ragpulse" / "2_passages.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="adrs fetch ragpulse_passages"):
        ragpulse.build(data=str(tmp_path)).read()


def test_a_trace_that_no_file_holds_is_to_be_had_from_its_project(tmp_path):
    with pytest.raises(FileNotFoundError, match="callanjfox/kv-cache-tester, its"):
        claude_code.build(data=str(tmp_path))
