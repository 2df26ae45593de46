"""Relations of rows: built from what was recorded, and taken in another order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluators.workloads.prefixes import Ints, Prefixes, Sessions


def prefixes_of(block_tokens: int, chains: Sequence[Sequence[int] | Ints]) -> Prefixes:
    """Prefixes of one chain of ids a request, renumbered by first appearance."""
    found = joined(block_tokens, chains)
    return Prefixes(block_tokens, found.offsets, dense(found.ids))


def joined(block_tokens: int, chains: Sequence[Sequence[int] | Ints]) -> Prefixes:
    """Prefixes of one chain of ids a request, ids as they are."""
    lengths = np.array([len(chain) for chain in chains], dtype=np.int64)
    parts = [np.asarray(chain, dtype=np.int64) for chain in chains]
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return Prefixes(block_tokens, _ends(lengths), ids)


class Layers(NamedTuple):
    """Prompts that begin alike, columns of shape (n,).

    The first ``shared_tokens`` are those of ``group`` (from 0), the others, up to
    ``tokens``, are the request's own, and so is a block that holds both.
    """

    group: Ints
    shared_tokens: Ints
    tokens: Ints

    def prefixes(self, block_tokens: int) -> Prefixes:
        """Chains of the full blocks."""
        lengths, shared = (
            self.tokens // block_tokens,
            self.shared_tokens // block_tokens,
        )
        ends, most = _ends(lengths), int(shared.max())
        place = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
        of_group = np.repeat(self.group, lengths) * most + place
        own = (int(self.group.max()) + 1) * most + np.arange(ends[-1])
        ids = np.where(place < np.repeat(shared, lengths), of_group, own)
        return Prefixes(block_tokens, ends, dense(ids))


def taken(prefixes: Prefixes, rows: Ints) -> Prefixes:
    """Prefixes of these rows, in this order.

    Ids are numbered anew from 0 by first appearance, so that they tell nothing of the
    rows that were left out.
    """
    lengths = np.diff(prefixes.offsets)[rows]
    ends = _ends(lengths)
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    places = np.repeat(prefixes.offsets[rows], lengths) + within
    return Prefixes(prefixes.block_tokens, ends, dense(prefixes.ids[places]))


def followers(sessions: Sessions, order: Ints) -> Sessions:
    """Sessions of the rows in this order; each stays behind the one it follows."""
    row_of = np.empty(len(order), dtype=np.int64)
    row_of[order] = np.arange(len(order))
    after = sessions.after[order]
    rows = np.where(after >= 0, row_of[np.maximum(after, 0)], -1)
    return Sessions(rows, sessions.wait_ps[order], sessions.is_tool[order])


def earliest_ps(sessions: Sessions, starts_ps: Ints) -> Ints:
    """When each row would arrive if all before it were served at once.

    ``starts_ps`` are the arrivals of those that follow nobody.
    """
    times: list[int] = starts_ps.tolist()
    waits = sessions.wait_ps.tolist()
    for row, before in enumerate(sessions.after.tolist()):
        if before >= 0:
            times[row] = times[before] + waits[row]
    return np.array(times, dtype=np.int64)


def dense(ids: Ints) -> Ints:
    """The same ids as numbers from 0 in order of first appearance."""
    if len(ids) and ids.max() < 4 * len(ids):
        return _ranked(ids, int(ids.max()) + 1)
    _, inverse = np.unique(ids, return_inverse=True)
    return _ranked(inverse, len(ids))


def is_new(prefixes: Prefixes) -> np.ndarray:
    """Whether each id appears for the first time, shape of ``ids``, of bool.

    As ids are a tree, the others are what an endless cache would hold.
    """
    new = np.zeros(len(prefixes.ids), dtype=bool)
    if new.size:
        first = _first(prefixes.ids, int(prefixes.ids.max()) + 1)
        new[first[first < new.size]] = True
    return new


def _ranked(ids: Ints, limit: int) -> Ints:
    """Ids below ``limit`` renumbered, without sorting them."""
    first = _first(ids, limit)
    is_first = np.zeros(len(ids) + 1, dtype=bool)
    is_first[first] = True
    rank = np.cumsum(is_first[:-1]) - 1
    return np.asarray(rank[first[ids]])


def _first(ids: Ints, limit: int) -> Ints:
    """Place of the first appearance of each id below ``limit``; len(ids): none."""
    first = np.full(limit, len(ids), dtype=np.int64)
    first[ids[::-1]] = np.arange(len(ids))[::-1]
    return first


def second_predecessor(prefixes: Prefixes) -> int | None:
    """The first id seen behind two different ids, or None where all is a tree."""
    ids, starts = prefixes.ids, prefixes.offsets[:-1][np.diff(prefixes.offsets) > 0]
    before = np.concatenate(([-1], ids[:-1]))
    before[starts] = -1
    order = np.argsort(ids, kind="stable")
    same = np.diff(ids[order]) == 0
    bad = np.flatnonzero(same & (np.diff(before[order]) != 0))
    return int(ids[order][bad[0]]) if bad.size else None


def _ends(lengths: Ints) -> Ints:
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))
