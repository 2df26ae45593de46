"""What the commands write can be read by other programs."""

import json
from itertools import groupby, pairwise

from tests.acceptance.command import SMALL, adrs


def track(event):
    """What Perfetto draws in one line: a thread, or a counter of a process."""
    return event["pid"], event.get("tid", event["name"])


def test_a_timeline_is_valid_trace_event_json_in_order_on_every_track(tmp_path):
    typed = ("score", "fcfs", *SMALL, "problem.regimes=[1.2]", "trace=out.json")
    done = adrs(*typed, "format=json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["outcomes"][0]["failure"] is None
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["displayTimeUnit"] in ("ms", "ns")
    events = written["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "C", "X"}
    for event in events:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert event["ph"] == "C" or isinstance(event["tid"], int)
        assert event["ph"] == "M" or event["ts"] >= 0
        assert event["ph"] != "X" or event["dur"] > 0
        assert event["ph"] == "X" or event["args"]
    timed = sorted((e for e in events if e["ph"] != "M"), key=lambda e: str(track(e)))
    for _, line in groupby(timed, key=track):
        for before, after in pairwise(line):
            assert before["ts"] + before.get("dur", 0) <= after["ts"] + 1e-6
    named = {track(e) for e in events if e["name"] == "thread_name"}
    assert {track(e) for e in events if e["ph"] == "X"} == named
