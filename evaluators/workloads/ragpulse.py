"""Reader of RAGPulse: a week of a retrieval service, prompts as lists of chunk ids."""

import json
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluators.workloads.annotations import PREDICTION_ERROR
from evaluators.workloads.prefixes import Ints, Prefixes
from evaluators.workloads.recorded import Stamp, lines, recording, stamp, token_column
from evaluators.workloads.relations import prefixes_of
from evaluators.workloads.replay import Recording, Replay, find

CATEGORIES = ("sys_prompt", "passages_ids", "history", "web_search", "user_input")
"""Order of the chunks in a prompt: that of the keys in the file, as its project states
none."""

LENGTHS = ("1_sys_prompt", "2_passages", "3_history", "4_user_input", "5_web_search")
"""Files that give the tokens of each chunk id."""


class Chunks(NamedTuple):
    """Chunks of each request, in the order of the file, not of time.

    Request i lists ``ids[offsets[i]:offsets[i + 1]]``, in the order of ``CATEGORIES``,
    each of so many ``tokens`` (no id is in two categories). ``prompt_tokens`` of a
    request are 6 to 12 more than its chunks'.
    """

    offsets: Ints
    ids: Ints
    tokens: Ints
    arrived_s: np.ndarray
    prompt_tokens: Ints
    output_tokens: Ints


def build(
    trace: str = "ragpulse",
    data: str | None = None,
    block_tokens: int = 16,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Replay:
    """Replay of the week; ``data`` is ``0_trace.jsonl``, or the folder it is in.

    The files of chunk lengths lie beside it. ``block_tokens`` is the size of the prefix
    blocks that the chunks are cut into. Raises ``FileNotFoundError`` when missing.
    """
    if block_tokens < 1:
        raise ValueError(f"block_tokens is {block_tokens}; expected at least 1")
    files = ("ragpulse/0_trace.jsonl", "0_trace.jsonl")
    path = find(trace, files, data)
    return Replay(trace, partial(read, path, block_tokens), tenants, prediction_error)


def read(path: Path, block_tokens: int = 16) -> Recording:
    """The recording in ``0_trace.jsonl``, sorted by time; parsed once.

    A block's content is known by the chunks that it and the blocks before it cover.
    Raises ``ValueError`` naming the row, column and value that cannot be used.
    """
    return _recording(*_files(path), block_tokens)


def chunks(path: Path) -> Chunks:
    """The chunks of each request of ``0_trace.jsonl``; parsed once while unchanged.

    Raises ``ValueError`` and ``FileNotFoundError`` as ``read`` does.
    """
    return _parsed(*_files(path))


def _files(path: Path) -> tuple[Stamp, tuple[Stamp, ...]]:
    folder = str(path.parent)
    names = ((f"ragpulse_{name[2:]}", f"{name}.jsonl") for name in LENGTHS)
    parts = [find(name, (file,), folder) for name, file in names]
    return stamp(path), tuple(map(stamp, parts))


@lru_cache(maxsize=2)
def _recording(file: Stamp, parts: tuple[Stamp, ...], block_tokens: int) -> Recording:
    found = _parsed(file, parts)
    tokens = (found.prompt_tokens, found.output_tokens)
    return recording(found.arrived_s, tokens, 0.0, _blocks(found, block_tokens))


@lru_cache(maxsize=2)
def _parsed(file: Stamp, parts: tuple[Stamp, ...]) -> Chunks:
    lengths = dict(pair for part in parts for pair in _lengths(part))
    rows = [_object(file.path, i, line) for i, line in enumerate(lines(file.path), 1)]
    listed = [_listed(file.path, i, row) for i, row in enumerate(rows, 1)]
    sizes = [_sizes(file.path, i, ids, lengths) for i, ids in enumerate(listed, 1)]
    seconds = [_seconds(file.path, i, row) for i, row in enumerate(rows, 1)]
    return Chunks(
        np.concatenate(([0], np.cumsum([len(ids) for ids in listed]))),
        np.array([chunk for ids in listed for chunk in ids], dtype=np.int64),
        np.array([size for row in sizes for size in row], dtype=np.int64),
        np.array(seconds, dtype=np.float64),
        token_column(file.path, "input_length", _column(rows, "input_length")),
        token_column(file.path, "output_length", _column(rows, "output_length")),
    )


def _object(path: str, number: int, line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} row {number}: {line[:60]!r} is not a JSON object")
    return found


def _lengths(part: Stamp) -> list[tuple[int, int]]:
    """Pairs of chunk id and tokens; the name of the id differs from file to file."""
    pairs = []
    for number, line in enumerate(lines(part.path), 1):
        values = tuple(_object(part.path, number, line).values())
        if len(values) != 2 or not all(type(value) is int for value in values):
            raise ValueError(
                f"{part.path} row {number}: {line[:60]}; expected an id and its "
                "token_length"
            )
        pairs.append((int(str(values[0])), int(str(values[1]))))
    return pairs


def _listed(path: str, number: int, row: dict[str, object]) -> list[int]:
    groups = row.get("hash_ids")
    if not isinstance(groups, dict) or set(groups) != set(CATEGORIES):
        raise ValueError(
            f"{path} row {number}: hash_ids is {str(groups)[:60]}; expected lists of "
            f"ids by {', '.join(CATEGORIES)}"
        )
    return [chunk for name in CATEGORIES for chunk in groups[name]]


def _sizes(
    path: str, number: int, ids: list[int], lengths: dict[int, int]
) -> list[int]:
    try:
        return [lengths[chunk] for chunk in ids]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} row {number}: chunk {error} has no token_length in the files "
            "beside it"
        ) from None


def _seconds(path: str, number: int, row: dict[str, object]) -> float:
    try:
        seconds = float(str(row.get("timestamp")))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e12:
        raise ValueError(
            f"{path} row {number}: timestamp is {row.get('timestamp')}; expected "
            "seconds, 0 or above"
        )
    return seconds


def _column(rows: list[dict[str, object]], name: str) -> list[object]:
    return [row.get(name) for row in rows]


def _blocks(found: Chunks, block_tokens: int) -> Prefixes:
    """Full blocks of the chunks one after another.

    Lists of chunks are nodes of a tree; a block is known by the node of the last chunk
    that it covers and by its place, both below 2**31.
    """
    nodes: dict[tuple[int, int], int] = {}
    chains = []
    for first, last in zip(found.offsets[:-1], found.offsets[1:], strict=True):
        node, path = 0, []
        for chunk in found.ids[first:last].tolist():
            node = nodes.setdefault((node, chunk), len(nodes) + 1)
            path.append(node)
        chains.append(_chain(path, found.tokens[first:last], block_tokens))
    return prefixes_of(block_tokens, chains)


def _chain(path: Sequence[int], tokens: Ints, block_tokens: int) -> Ints:
    ends = np.cumsum(tokens)
    n_blocks = int(ends[-1]) // block_tokens if len(ends) else 0
    last_token = np.arange(1, n_blocks + 1) * block_tokens - 1
    covering = np.searchsorted(ends, last_token, side="right")
    return np.array(path, dtype=np.int64)[covering] * 2**31 + np.arange(n_blocks)
