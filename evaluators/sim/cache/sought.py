"""Which outputs others may look for while they are being generated."""

from functools import lru_cache

import numpy as np

from evaluators.workloads.prefixes import Ints, Prefixes
from evaluators.workloads.relations import dense
from evaluators.workloads.trace import Trace


@lru_cache(maxsize=2)
def sought_tokens(trace: Trace) -> Ints:
    """Leading tokens of each request that end with such a block; 0 if there is none.

    Where it is certain that nobody else who has a block of an output is there before
    the output is finished, as in a session, the block does not count.
    """
    sought, prefixes = np.zeros(len(trace), dtype=np.int64), trace.prefixes
    if prefixes is None:
        return sought
    rows, depths = _generated(trace, prefixes)
    if not len(rows):
        return sought
    ids = dense(prefixes.ids)
    own = ids[prefixes.offsets[rows] + depths]
    early = _found_early(trace, prefixes, ids, rows, own)[own]
    ends = (depths[early] + 1) * prefixes.block_tokens
    np.maximum.at(sought, rows[early], ends)
    return sought


def _generated(trace: Trace, prefixes: Prefixes) -> tuple[Ints, Ints]:
    """Requests and the depths of their blocks that end in their outputs."""
    starts = trace.prompt_tokens // prefixes.block_tokens
    counts = np.maximum(np.diff(prefixes.offsets) - starts, 0)
    rows = np.repeat(np.arange(len(trace)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, starts[rows] + within


def _found_early(
    trace: Trace, prefixes: Prefixes, ids: Ints, rows: Ints, own: Ints
) -> np.ndarray:
    """Of each id whether a request that generates it may not be the only one there.

    ``rows`` generate the ids ``own``. It is the only one if all others with the id
    follow it, as those come when it has finished.
    """
    found = np.zeros(int(ids.max()) + 1, dtype=bool)
    found[own] = True
    places = np.flatnonzero(found[ids])
    has = ids[places]
    holders = np.repeat(np.arange(len(trace)), np.diff(prefixes.offsets))[places]
    first = np.zeros(len(found), dtype=np.int64)
    first[has[::-1]] = holders[::-1]
    begins, ends = _families(trace)
    leader, place = first[has], begins[holders]
    apart = (place < begins[leader]) | (place >= ends[leader])
    found[:] = False
    found[has[apart]] = True
    found[own[rows != first[own]]] = True
    return found


def _families(trace: Trace) -> tuple[Ints, Ints]:
    """Numbers of the requests, so that all who follow one have the next ones.

    Where they begin, its own number first, and where they end.
    """
    n = len(trace)
    if trace.sessions is None:
        return np.arange(n), np.arange(n) + 1
    after, sizes = trace.sessions.after.tolist(), [1] * n
    for row in range(n - 1, -1, -1):
        if after[row] >= 0:
            sizes[after[row]] += sizes[row]
    begins, free = [0] * n, [1] * n
    top = 0
    for row, before in enumerate(after):
        if before < 0:
            begins[row], top = top, top + sizes[row]
        else:
            begins[row] = begins[before] + free[before]
            free[before] += sizes[row]
    return np.array(begins), np.array(begins) + np.array(sizes)
