"""The log of what a policy answered on one scenario, small enough to keep them all.

An entry is one question: which hooks were asked together, and the arrays that came
back. Keys that only rank the rows of their own question are kept as ranks, everything
else as it came; so a run under the log is the run under the policy, decision by
decision, and needs neither the policy nor its process.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.evaluation import Failure
from evaluators.problem import Hook
from evaluators.views import Parts

MAGIC = b"adrs-decisions-1"
MAX_BYTES = 1 << 30
"""Most that a log may hold when unpacked."""

HELD_BACK = 2**32 - 1
"""Rank of +inf, which holds a request back and must stay what it is."""

FEW_KEYS = 1 << 14
"""So many are ranked at once, however many of the places for them are empty."""

_HEAD = struct.Struct("<16sI")
_WHOLE, _REAL, _RANKED = range(3)
_ASKED = np.dtype([("set", "<u2"), ("arrays", "u1")])
_SHAPE = np.dtype([("kind", "u1"), ("ndim", "u1"), ("length", "<u4"), ("width", "<u4")])
_VALUES = (np.dtype("<i8"), np.dtype("<f8"), np.dtype("<u4"))
_COLUMNS: tuple[np.dtype[Any], ...] = (_ASKED, _SHAPE, *_VALUES)


class LogError(ValueError):
    """The bytes are no log, or not the one that was recorded."""


class Entry(NamedTuple):
    """Hooks that were asked together, and the arrays that came back."""

    hooks: tuple[str, ...]
    answer: Parts


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that a policy said on a scenario.

    ``hooks`` are those it has and ``manners`` its other attributes; ``failure`` is how
    it ended, if not well.
    """

    hooks: tuple[str, ...]
    manners: Mapping[str, str | float | bool]
    entries: Sequence[Entry]
    failure: Failure | None = None


class Sealed(NamedTuple):
    """A log as bytes; ``digest`` names what it says, however it was packed."""

    digest: str
    data: bytes


def seal(decisions: Decisions, hooks: Sequence[Hook]) -> Sealed:
    """Pack a log; ``hooks`` are the problem's and say which answers only rank."""
    ranking = {hook.name for hook in hooks if hook.returns == "keys"}
    sets = sorted({entry.hooks for entry in decisions.entries})
    head: dict[str, Any] = {
        "hooks": list(decisions.hooks),
        "manners": dict(decisions.manners),
        "failure": asdict(decisions.failure) if decisions.failure else None,
        "sets": sets,
    }
    columns = _columns(decisions.entries, sets, ranking)
    head["lengths"] = [len(column) for column in columns]
    text = json.dumps(head, sort_keys=True).encode()
    pieces = [_HEAD.pack(MAGIC, len(text)), text, *(c.tobytes() for c in columns)]
    plain = b"".join(pieces)
    return Sealed(_digest(plain), zlib.compress(plain, 1))


def unseal(data: bytes, digest: str | None = None) -> Decisions:
    """Inverse of ``seal``; ``LogError`` if broken or not the log of that ``digest``."""
    plain = _unpacked(data)
    if digest is not None and _digest(plain) != digest:
        raise LogError(f"it is log {_digest(plain)}, not {digest} as was recorded")
    try:
        return _decisions(plain)
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise LogError(f"it is malformed: {error}") from None


def _columns(
    entries: Sequence[Entry], sets: Sequence[tuple[str, ...]], ranking: set[str]
) -> list[NDArray[Any]]:
    """What was asked, the shapes of the answers, and their values by kind."""
    places = {hooks: i for i, hooks in enumerate(sets)}
    asked = [(places[entry.hooks], len(entry.answer)) for entry in entries]
    answers = [array for entry in entries for array in entry.answer]
    ranks = [
        name in ranking
        for hooks, answer in entries
        for name in (hooks if len(hooks) == len(answer) else ("",) * len(answer))
    ]
    is_real = [array.dtype.char == "d" for array in answers]
    shapes = np.zeros(len(answers), dtype=_SHAPE)
    shapes["ndim"] = [array.ndim for array in answers]
    shapes["length"] = [array.shape[0] if array.ndim else 1 for array in answers]
    shapes["width"] = [array.shape[1] if array.ndim > 1 else 1 for array in answers]
    kinds = np.where(is_real, _REAL, _WHOLE)
    kinds[np.array(ranks, bool) & (shapes["ndim"] == 1)] = _RANKED
    flat = [array.reshape(-1) for array in answers]
    ranked = np.flatnonzero(kinds == _RANKED).tolist()
    if np.isnan(_joined([flat[i] for i in ranked], np.float64)).any():
        for i in ranked:
            if np.isnan(flat[i]).any():
                kinds[i] = _REAL  # no ranks: the engine refuses it
    shapes["kind"] = kinds
    of = [[flat[i] for i in np.flatnonzero(kinds == k).tolist()] for k in range(3)]
    return [
        np.array(asked, dtype=_ASKED),
        shapes,
        _joined(of[_WHOLE], np.int64),
        _joined(of[_REAL], np.float64),
        _ranks(of[_RANKED]),
    ]


def _joined(pieces: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(pieces) if pieces else np.empty(0, kind)


def _ranks(answers: list[NDArray[Any]]) -> NDArray[np.uint32]:
    """Place of each key among the distinct ones of its question, from 0."""
    keys = _joined(answers, np.float64).astype(np.float64, copy=False)
    lengths = np.array([len(answer) for answer in answers], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    ranks = np.zeros(len(keys), np.uint32)
    for questions in _alike(lengths):
        columns = np.arange(lengths[questions].max())
        is_key = columns < lengths[questions][:, None]
        at = (starts[questions][:, None] + columns)[is_key]
        # Filled up with what comes last, and has no rank of its own.
        rows = np.full(is_key.shape, np.inf)
        rows[is_key] = keys[at]
        order = np.argsort(rows, axis=1)
        rising = np.take_along_axis(rows, order, axis=1)
        places = np.zeros(rows.shape, np.uint32)
        np.cumsum(rising[:, 1:] != rising[:, :-1], axis=1, out=places[:, 1:])
        placed = np.empty_like(places)
        np.put_along_axis(placed, order, places, axis=1)
        ranks[at] = placed[is_key]
    ranks[keys == np.inf] = HELD_BACK
    return ranks


def _alike(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of questions of several keys, of lengths within 2x where that matters."""
    several = np.flatnonzero(lengths > 1)
    if len(several) * lengths.max(initial=0) <= FEW_KEYS:
        return [several] if len(several) else []
    bits = np.frexp(lengths[several] - 1)[1]
    return [several[bits == each] for each in np.unique(bits)]


def _digest(plain: bytes) -> str:
    return hashlib.sha256(plain).hexdigest()[:16]


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise LogError(f"it cannot be unpacked: {error}") from None
    if not unpacking.eof:
        raise LogError("it is cut off, or larger than any log")
    return plain


def _decisions(plain: bytes) -> Decisions:
    magic, size = _HEAD.unpack_from(plain)
    if magic != MAGIC:
        raise ValueError(f"it begins with {magic!r}, not {MAGIC!r}")
    head = json.loads(plain[_HEAD.size : _HEAD.size + size])
    columns: list[NDArray[Any]] = []
    at = _HEAD.size + size
    for kind, length in zip(_COLUMNS, head["lengths"], strict=True):
        columns.append(np.ndarray((length,), kind, plain, at))
        at += columns[-1].nbytes
    if at != len(plain):
        raise ValueError(f"{len(plain)} bytes; expected {at}")
    asked, shapes, *values = columns
    arrays = _arrays(shapes, values)
    if asked["arrays"].sum() != len(arrays):
        raise ValueError(f"{len(arrays)} arrays; its questions have others")
    left = iter(arrays)
    sets = [tuple(names) for names in head["sets"]]
    entries = [
        Entry(sets[place], tuple([next(left) for _ in range(n_arrays)]))
        for place, n_arrays in asked.tolist()
    ]
    failure = head["failure"] and Failure(**head["failure"])
    return Decisions(tuple(head["hooks"]), head["manners"], entries, failure)


def _arrays(shapes: NDArray[Any], values: list[NDArray[Any]]) -> list[NDArray[Any]]:
    wholes, reals, ranks = values
    keys = ranks.astype(np.float64)
    keys[ranks == HELD_BACK] = np.inf
    sources, at = (wholes, reals, keys), [0, 0, 0]
    arrays = []
    for kind, ndim, length, width in shapes.tolist():
        end = at[kind] + length * width
        shape = (length, width)[:ndim]
        arrays.append(sources[kind][at[kind] : end].reshape(shape))
        at[kind] = end
    if at != [len(source) for source in sources]:
        raise ValueError(f"shapes of {at} values; there are others")
    return arrays
