"""Reader of kv-cache-tester's sessions of Claude Code: agents that wait for tools."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.prefixes import Ints
from evaluators.workloads.recorded import Stamp, lines, stamp
from evaluators.workloads.replay import SPLIT_SPANS, find
from evaluators.workloads.sessions import ClosedLoop, Part, Session, seconds_ps

BLOCK_TOKENS = 64
SLACK_S = 1.5
"""Times are rounded to seconds: a request this much before another's end follows it."""

RECENT = 16
"""Requests looked back on for the one that a request followed."""


class Call(NamedTuple):
    """A recorded request; ``runs`` are first ids and counts of its block ids.

    ``lane`` is -1 for the main agent, else the number of the sub-agent.
    """

    lane: int
    begin_s: float
    end_s: float
    think_s: float
    prompt_tokens: int
    output_tokens: int
    is_tool: bool
    runs: tuple[tuple[int, int], ...]


def build(
    trace: str = "claude_code",
    data: str | None = None,
    most_tokens: int = 131072,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> ClosedLoop:
    """The recorded sessions; ``data`` is their file, or the folder it is in.

    It may also be the project's own folder of ``trace_*.json``. A session ends before
    the first request that needs more than ``most_tokens`` of context. Sessions are
    dealt to the splits in the files' order, and to synthetic tenants. Raises
    ``FileNotFoundError`` when missing.
    """
    name = "kv_cache_tester_claude_code_sessions.jsonl"
    path = Path(data or ".").expanduser()
    if not (data and any(path.glob("trace_*.json"))):
        path = find(trace, (f"{trace}.jsonl", name), data)
    source = Recorded(path, most_tokens, tuple(zipf_shares(tenants).tolist()))
    return ClosedLoop(trace, tenants, prediction_error, BLOCK_TOKENS, source)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Sessions of a file, in an order that the seed chooses."""

    path: Path
    most_tokens: int
    shares: tuple[float, ...]

    def __call__(self, part: Part, rng: np.random.Generator) -> Iterator[Session]:
        """Sessions of a part; block ids are numbered so that no two share any."""
        found = read(self.path)
        low, high = (0.0, 1.0) if part == "whole" else SPLIT_SPANS[part]
        chosen = np.arange(round(low * len(found)), round(high * len(found)))
        base = 0
        for index in rng.permutation(chosen).tolist():
            calls = _fitting(found[index], self.most_tokens)
            if calls:
                tenant = int(rng.choice(len(self.shares), p=self.shares))
                yield _session(calls, tenant, base)
                base += max(a + n for call in calls for a, n in call.runs) + 1


def read(path: Path) -> tuple[tuple[Call, ...], ...]:
    """Requests of each session, by time; parsed once while the file does not change.

    A prompt is known by the ids of its full 64-token blocks, local to the session. A
    request that was cut off before its first token is held to have had one. Raises
    ``ValueError`` naming the session that cannot be used.
    """
    paths = sorted(path.glob("trace_*.json")) if path.is_dir() else [path]
    return _parsed(tuple(map(stamp, paths)))


@lru_cache(maxsize=2)
def _parsed(files: tuple[Stamp, ...]) -> tuple[tuple[Call, ...], ...]:
    found = []
    for file in files:
        for number, line in enumerate(lines(file.path), 1):
            try:
                found.append(_calls(json.loads(line)["requests"]))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"{file.path} session {number} cannot be read: "
                    f"{type(error).__name__} {error}"
                ) from None
    return tuple(found)


def _calls(entries: Sequence[Mapping[str, Any]]) -> tuple[Call, ...]:
    main = [entry for entry in entries if "requests" not in entry]
    calls = _lane(-1, main, 0.0)
    agents = [entry for entry in entries if "requests" in entry]
    for lane, agent in enumerate(agents):
        calls += _lane(lane, agent["requests"], float(agent["t"]))
    return tuple(sorted(calls, key=lambda call: call.begin_s))


def _lane(lane: int, entries: Sequence[Mapping[str, Any]], at_s: float) -> list[Call]:
    """Requests of one agent.

    Where no time of service was recorded, the next request's pause tells the end.
    """
    calls: list[Call] = []
    for entry, later in zip(entries, [*entries, {}][1:], strict=True):
        begin = at_s + float(entry["t"])
        end = begin + float(entry.get("api_time", 0.0))
        if "api_time" not in entry and "think_time" in later:
            end = max(begin, at_s + float(later["t"]) - float(later["think_time"]))
        calls.append(
            Call(
                lane,
                begin,
                end,
                float(entry.get("think_time", -1.0)),
                int(entry["in"]),
                max(1, int(entry["out"])),
                "tool_result" in entry["input_types"],
                _runs(entry),
            )
        )
    return calls


def _runs(entry: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """First ids and counts of runs, which a file may have spelled out."""
    if "hash_runs" in entry:
        flat = entry["hash_runs"]
        return tuple(zip(flat[::2], flat[1::2], strict=True))
    ids = np.array(entry["hash_ids"], dtype=np.int64)
    starts = np.flatnonzero(np.diff(ids, prepend=-2) != 1)
    counts = np.diff(starts, append=len(ids))
    return tuple(zip(ids[starts].tolist(), counts.tolist(), strict=True))


def _fitting(calls: Sequence[Call], most_tokens: int) -> Sequence[Call]:
    """Calls before the first whose context is too long."""
    for index, call in enumerate(calls):
        if call.prompt_tokens + call.output_tokens > most_tokens:
            return calls[:index]
    return calls


def _session(calls: Sequence[Call], tenant: int, base: int) -> Session:
    after = _followed(calls)
    pairs = zip(after, calls, strict=True)
    waits = [_wait_s(calls, before, call) for before, call in pairs]
    return Session(
        tenant,
        np.array([call.prompt_tokens for call in calls], dtype=np.int64),
        np.array([call.output_tokens for call in calls], dtype=np.int64),
        np.array(after, dtype=np.int64),
        seconds_ps(waits),
        np.array([int(call.is_tool) for call in calls], dtype=np.int64),
        _chains(calls, base),
    )


def _followed(calls: Sequence[Call]) -> list[int]:
    """Which request each one followed, -1 for none.

    A sub-agent's requests follow each other, its first the main agent's request that
    called it. A main agent's request follows what had ended last when it began: its own
    request before, or the last one of a sub-agent. One that began while all these ran
    follows what the request before it followed.
    """
    after: list[int] = []
    ends: dict[int, list[int]] = {}
    for index, call in enumerate(calls):
        main = ends.setdefault(-1, [])
        own = ends.setdefault(call.lane, [])
        if call.lane >= 0 and own:
            after.append(own[-1])
        else:
            lasts = [lane[-1] for number, lane in ends.items() if number >= 0 and lane]
            known = main[-RECENT:] + (lasts if call.lane < 0 else [])
            ended = [i for i in known if calls[i].end_s <= call.begin_s + SLACK_S]
            fallback = after[main[-1]] if main else -1
            ended.sort(key=lambda i: (calls[i].end_s, i))
            after.append(ended[-1] if ended else fallback)
        own.append(index)
    return after


def _wait_s(calls: Sequence[Call], before: int, call: Call) -> float:
    """Recorded pause before a request, or the time since the one it followed."""
    if before < 0:
        return call.begin_s - calls[0].begin_s
    if call.think_s >= 0 and calls[before].lane == call.lane:
        return call.think_s
    return max(0.0, call.begin_s - calls[before].end_s)


def _chains(calls: Sequence[Call], base: int) -> tuple[Ints, ...]:
    """Block ids of each request.

    They go on through its output where its agent's next request begins with them all.
    """
    chains = [_expanded(call, base) for call in calls]
    later = {call.lane: -1 for call in calls}
    for index in reversed(range(len(calls))):
        call, own = calls[index], chains[index]
        follower, later[call.lane] = later[call.lane], index
        if follower < 0 or not len(own):
            continue
        whole = chains[follower]
        if len(whole) > len(own) and whole[len(own) - 1] == own[-1]:
            tokens = call.prompt_tokens + call.output_tokens
            chains[index] = whole[: max(len(own), tokens // BLOCK_TOKENS)]
    return tuple(chains)


def _expanded(call: Call, base: int) -> Ints:
    parts = [np.arange(base + a, base + a + n) for a, n in call.runs]
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return ids[: call.prompt_tokens // BLOCK_TOKENS]
