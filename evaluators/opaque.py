"""Identities as a policy sees them: a keyed hash of the order of first appearance."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

BITS = 53
"""So that an id survives as a float."""


def opaque_ids(rows: int, key: bytes) -> Ints:
    """Distinct ids below 2**53 of the first ``rows`` things, in order.

    Equal keys give equal ids, and more rows begin with the same ones. Without the key
    an id tells neither its row nor any other id. SHAKE-128 of the key, 8 bytes a row
    (0.5 ms for 20,000); what came before is drawn again.
    """
    drawn = _words(key, rows) & np.uint64((1 << BITS) - 1)
    return distinct(drawn.astype(np.int64), key, BITS)


def distinct(drawn: Ints, key: bytes, bits: int) -> Ints:
    """The numbers, each that an earlier one equals replaced by others below 2**bits."""
    if len(np.unique(drawn)) == len(drawn):
        return drawn
    taken: set[int] = set()
    for row, value in enumerate(drawn.tolist()):
        again = 0
        while value in taken:
            again += 1
            word = int(_words(key + f"\0{row}\0{again}".encode(), 1)[0])
            value = word & ((1 << bits) - 1)
        taken.add(value)
        drawn[row] = value
    return drawn


def renamed(values: Ints, key: bytes) -> Ints:
    """Equal values as equal ids, numbered as they first appear; what is below 0 as -1.

    An id depends on no value after its first: nothing of the future shows.
    """
    known, where, index = np.unique(values, return_index=True, return_inverse=True)
    is_thing = known >= 0
    ids = np.full(len(known), -1, dtype=np.int64)
    order = np.argsort(where[is_thing])
    places = np.flatnonzero(is_thing)[order]
    ids[places] = opaque_ids(len(places), key)
    return ids[index]


def _words(key: bytes, n: int) -> NDArray[np.uint64]:
    stream = hashlib.shake_128(b"ids\0" + key).digest(8 * n)
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64)
