"""Closed loops: sessions keep their waits and contents however they are woven."""

import json
import os
from itertools import islice, pairwise

import numpy as np
import pytest

from evaluators.workloads import agents, claude_code, conversations
from evaluators.workloads.trace import PS_PER_S
from tests.workloads import samples
from tests.workloads.samples import call

DATA = os.environ.get("ADRS_DATA")


def sessions_of(trace):
    """Rows of each session, in order."""
    found = {}
    root = np.arange(len(trace))
    for row, before in enumerate(trace.sessions.after.tolist()):
        root[row] = root[before] if before >= 0 else row
        found.setdefault(int(root[row]), []).append(row)
    return list(found.values())


def session(*calls, folder):
    path = folder / "claude_code.jsonl"
    path.write_text(json.dumps({"requests": list(calls)}) + "\n")
    return claude_code.build(data=str(folder)).whole(0)


def test_waits_are_not_scaled_with_the_rate_and_starts_are():
    slow, fast = (agents.build().draw("train", 0, rate, 200) for rate in (0.1, 10.0))
    starts = [t.arrived_ps[t.sessions.after < 0] for t in (slow, fast)]
    np.testing.assert_allclose(starts[0], starts[1] * 100, atol=100)
    waits = [np.sort(t.sessions.wait_ps) for t in (slow, fast)]
    assert np.array_equal(*waits)


def test_no_recorded_session_is_drawn_for_two_splits(tmp_path):
    samples.claude_code(tmp_path)
    workload = claude_code.build(data=str(tmp_path))
    asked = {"train": 240, "validation": 80, "held_out": 80}
    drawn = [
        set(workload.draw(split, seed, 1.0, n).output_tokens.tolist())
        for split, n in asked.items()
        for seed in (0,)
    ]
    assert [len(part) for part in drawn] == [24, 8, 8]
    assert len(set.union(*drawn)) == 40


def test_more_requests_than_a_split_has_are_refused(tmp_path):
    samples.claude_code(tmp_path)
    with pytest.raises(ValueError, match="validation part holds 80 requests; asked"):
        claude_code.build(data=str(tmp_path)).draw("validation", 0, 1.0, 81)


def test_a_chain_goes_on_through_the_output_that_the_next_request_begins_with(tmp_path):
    trace = session(
        call(0, 64 * 5 + 10, 130, [1, 5]),
        call(9, 64 * 9, 60, [1, 9]),
        call(20, 64 * 9, 60, [1, 8, 30, 1]),
        folder=tmp_path,
    )
    chains = [trace.prefixes.chain(row).tolist() for row in range(3)]
    assert chains[0] == list(range(7))
    assert chains[1] == list(range(9))
    assert chains[2] == [*range(8), 9]


def test_a_request_waits_as_recorded_after_the_one_before_it(tmp_path):
    first = call(0, 640, 10, [1, 10])
    person = call(12.0, 700, 10, [1, 10], think_time=7.0, input_types="text")
    unknown = call(30.0, 700, 10, [1, 10])
    del unknown["think_time"]
    trace = session(first, person, unknown, folder=tmp_path)
    assert trace.sessions.after.tolist() == [-1, 0, 1]
    assert (trace.sessions.wait_ps / PS_PER_S).tolist() == [0, 7, 16]
    assert trace.sessions.is_tool.tolist() == [1, 0, 1]


def test_a_sub_agent_follows_its_call_and_is_waited_for(tmp_path):
    agent = {
        "t": 3.0,
        "requests": [call(0.0, 640, 9, [50, 10]), call(4.0, 704, 9, [50, 11])],
    }
    trace = session(
        call(0.0, 640, 5, [1, 10]), agent, call(12.0, 704, 5, [1, 11]), folder=tmp_path
    )
    assert trace.sessions.after.tolist() == [-1, 0, 1, 2]
    assert trace.output_tokens.tolist() == [5, 9, 9, 5]
    assert not set(trace.prefixes.chain(1)) & set(trace.prefixes.chain(0))
    assert trace.sessions.wait_ps[3] == 3 * PS_PER_S


def test_a_request_begun_while_others_run_follows_what_they_followed(tmp_path):
    trace = session(
        call(0.0, 640, 5, [1, 10]),
        call(10.0, 640, 5, [1, 10], api_time=30.0),
        call(15.0, 640, 5, [1, 10]),
        folder=tmp_path,
    )
    assert trace.sessions.after.tolist() == [-1, 0, 0]


def test_a_session_ends_before_it_needs_too_much_context(tmp_path):
    samples.claude_code(tmp_path)
    trace = claude_code.build(data=str(tmp_path), most_tokens=64 * 14 + 200).whole(0)
    assert {len(rows) for rows in sessions_of(trace)} == {4}


def test_the_project_s_own_folder_of_spelled_out_ids_is_read(tmp_path):
    entry = call(0.0, 64 * 4, 5, None)
    del entry["hash_runs"]
    for number, ids in ((1, [1, 2, 3, 9]), (2, [1, 2, 3, 4])):
        record = {"requests": [{**entry, "hash_ids": ids}]}
        (tmp_path / f"trace_000{number}.json").write_text(json.dumps(record))
    first, second = claude_code.read(tmp_path)
    assert first[0].runs == ((1, 3), (9, 1))
    assert second[0].runs == ((1, 4),)
    assert len(claude_code.build(data=str(tmp_path)).whole(0)) == 2


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"requests": [{}]}', '{"requests": [{"t": "x"}]}']
)
def test_a_session_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "claude_code.jsonl"
    path.write_text('{"requests": []}\n' + text)
    with pytest.raises(ValueError, match="session 2 cannot be read") as caught:
        claude_code.read(path)
    assert "\n" not in str(caught.value)


def test_a_turn_of_a_conversation_is_prompted_with_all_before_it(tmp_path):
    line = {"roles": "shghgg", "tokens": [5, 40, 30, 20, 10, 7]}
    (tmp_path / "sharegpt_v3.jsonl").write_text(json.dumps(line))
    trace = conversations.build(data=str(tmp_path)).whole(0)
    assert trace.prompt_tokens.tolist() == [45, 95, 105]
    assert trace.output_tokens.tolist() == [30, 10, 7]
    assert trace.sessions.after.tolist() == [-1, 0, 1]


def test_agents_are_like_the_sessions_that_they_were_fitted_to():
    source = agents.build(most_tokens=300_000).source
    drawn = source("train", np.random.default_rng(0))
    sessions = list(islice(drawn, 400))
    outputs = np.concatenate([session.output_tokens for session in sessions])
    opening, end = (
        np.median([session.prompt_tokens[place] for session in sessions])
        for place in (0, -1)
    )
    assert opening == pytest.approx(25_000, rel=0.1)
    assert 80_000 < end < 140_000
    assert np.median(outputs) == pytest.approx(218, rel=0.05)
    assert np.median([len(s.after) for s in sessions]) == pytest.approx(44, rel=0.2)


def test_agents_share_the_prefix_of_their_tenant_and_nothing_else():
    trace = agents.build(tenants=2, prefix_tokens=1600).draw("train", 0, 1.0, 400)
    roots = np.flatnonzero(trace.sessions.after < 0).tolist()
    for one, other in pairwise(roots):
        shared = len(set(trace.prefixes.chain(one)) & set(trace.prefixes.chain(other)))
        assert shared == (100 if trace.tenant[one] == trace.tenant[other] else 0)


@pytest.mark.skipif(not DATA, reason="ADRS_DATA names no folder with public traces")
def test_sharegpt_has_its_measured_turns():
    [path] = conversations.Path(DATA).glob("traces/sharegpt_v3_turn_token*")
    found = conversations.read(path)
    prompts = np.concatenate([prompts for prompts, _ in found])
    assert len(found) == 17_671
    model_turns = 67_608  # of which those that open a conversation are no request
    assert model_turns / len(found) == pytest.approx(3.8, abs=0.05)
    assert len(prompts) == pytest.approx(0.906 * model_turns, rel=0.002)
    assert prompts.sum() / model_turns == pytest.approx(746, rel=0.001)
    assert np.percentile(prompts, 99) == pytest.approx(1979, rel=0.02)


def test_a_scaled_trace_has_its_starts_moved_and_all_relations_kept():
    trace = agents.build(prefix_tokens=160).draw("train", 0, 0.05, 200)
    scaled = trace.scaled(100.0)
    assert not np.array_equal(trace.output_tokens, scaled.output_tokens)
    whole = {tuple(trace.output_tokens[rows].tolist()) for rows in sessions_of(trace)}
    assert whole == {
        tuple(scaled.output_tokens[rows].tolist()) for rows in sessions_of(scaled)
    }
    rows = np.flatnonzero(scaled.sessions.after >= 0)
    before = scaled.sessions.after[rows]
    waited = scaled.arrived_ps[rows] - scaled.arrived_ps[before]
    assert np.array_equal(waited, scaled.sessions.wait_ps[rows])
    for row, earlier in zip(rows.tolist(), before.tolist(), strict=True):
        begun = scaled.prefixes.chain(earlier)
        assert np.array_equal(scaled.prefixes.chain(row)[: len(begun)], begun)
