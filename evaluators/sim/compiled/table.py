"""Where each content is in memory: open addressing, with no marks left by removals."""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.state import Records

SPREAD = -7046029254386353131
"""2**64 over the golden ratio, as a signed number (Knuth's multiplicative hashing)."""


@compiled
def place(places: Records, content: int) -> int:
    """Index of a content, or of where it would go."""
    mask = len(places) - 1
    at = _home(content, mask)
    while places[at].block >= 0 and places[at].content != content:
        at = (at + 1) & mask
    return at


@compiled
def remove(places: Records, at: int) -> None:
    """Take out what is at an index; those behind it move up to where they belong."""
    mask = len(places) - 1
    hole = at
    while True:
        at = (at + 1) & mask
        if places[at].block < 0:
            break
        home = _home(places[at].content, mask)
        if (at - home) & mask >= (at - hole) & mask:
            places[hole].content = places[at].content
            places[hole].block = places[at].block
            hole = at
    places[hole].block = -1


@compiled
def _home(content: int, mask: int) -> int:
    return ((content * SPREAD) >> 20) & mask
