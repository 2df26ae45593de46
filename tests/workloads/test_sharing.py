"""Prefix sharing of the recorded traces, as measured before: readers lose nothing."""

import os
from pathlib import Path

import numpy as np
import pytest

from evaluators.workloads import claude_code, mooncake, ragpulse
from evaluators.workloads.relations import is_new

DATA = os.environ.get("ADRS_DATA")
pytestmark = pytest.mark.skipif(
    not DATA, reason="ADRS_DATA names no folder with the public traces"
)


def file(name):
    return Path(DATA) / "traces" / name


@pytest.mark.parametrize(
    ("name", "stamp_s", "blocks", "of_blocks", "of_tokens"),
    [
        ("conversation", 3.0, 288_500, 0.366, 0.374),
        ("synthetic", 0.0, 121_877, 0.640, 0.651),
    ],
)
def test_mooncake_shares_its_blocks_and_tokens(
    name, stamp_s, blocks, of_blocks, of_tokens
):
    found = mooncake.blocks(file(f"mooncake_{name}_trace.jsonl.gz"))
    assert len(found.ids) == blocks
    assert 1 - is_new(found).mean() == pytest.approx(of_blocks, abs=0.0005)
    trace = mooncake.build(f"mooncake_{name}", DATA, stamp_s).whole(0)
    hit_tokens = 512 * np.count_nonzero(~is_new(trace.prefixes))
    assert hit_tokens / trace.prompt_tokens.sum() == pytest.approx(of_tokens, abs=0.001)


def test_claude_code_shares_its_blocks_within_sessions():
    sessions = claude_code.read(file("kv_cache_tester_claude_code_sessions.jsonl.gz"))
    assert (len(sessions), sum(map(len, sessions))) == (692, 46_218)
    total = hits = 0
    for calls in sessions:
        seen = np.zeros(max(a + n for c in calls for a, n in c.runs), dtype=bool)
        for call in calls:
            assert sum(n for _, n in call.runs) == call.prompt_tokens // 64
            for first, n in call.runs:
                hits += np.count_nonzero(seen[first : first + n])
                seen[first : first + n] = True
                total += n
    assert total == pytest.approx(85.4e6, rel=0.001)
    assert hits / total == pytest.approx(0.963, abs=0.0005)


def test_claude_code_waits_for_tools_shortly_and_for_people_long():
    trace = claude_code.build(data=DATA).draw("train", 0, 1.0, 5000)
    waits_s = trace.sessions.wait_ps / 1e12
    follows = trace.sessions.after >= 0
    tool = follows & (trace.sessions.is_tool == 1)
    assert tool.sum() / follows.sum() == pytest.approx(0.86, abs=0.04)
    assert 7 <= np.median(waits_s[tool]) <= 11
    assert 80 <= np.median(waits_s[follows & ~tool]) <= 160


def test_ragpulse_reuses_its_chunks():
    found = ragpulse.chunks(file("ragpulse/0_trace.jsonl.gz"))
    reused = 1 - len(np.unique(found.ids)) / len(found.ids)
    assert (len(found.offsets) - 1, len(found.ids)) == (7106, 71_583)
    assert reused == pytest.approx(0.694, abs=0.001)
    listed = np.add.reduceat(found.tokens, found.offsets[:-1])
    assert set((found.prompt_tokens - listed).tolist()) <= set(range(6, 13))


def test_ragpulse_shares_a_third_as_prefixes_as_its_chunks_change_their_order():
    trace = ragpulse.build(data=DATA).whole(0)
    assert trace.prompt_tokens.mean() == pytest.approx(2943.6, abs=0.1)
    assert trace.output_tokens.mean() == pytest.approx(283.2, abs=0.1)
    assert 1 - is_new(trace.prefixes).mean() == pytest.approx(0.316, abs=0.005)
