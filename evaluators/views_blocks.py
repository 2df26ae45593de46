"""What an eviction policy sees: KV blocks that nobody holds, and what befell blocks."""

from collections.abc import Sequence

import numpy as np

from evaluators.view_tables import NamedColumns
from evaluators.views import Column, Floats, Ints

UNKNOWN, TOOL, PERSON, PREEMPTED = range(4)
"""States of an owner: what the engine knows of the session that used a block last."""

BLOCK_INTS = (
    Column("id", "opaque content; equal contents have equal ids, also after eviction"),
    Column("depth", "its place in the prompt: blocks before it"),
    Column("children", "blocks in memory that continue it"),
    Column("hits", "requests that found it since it is in memory"),
    Column("tenant", "customer of the request that used it last"),
    Column(
        "owner",
        "the request that used it last: 0 nothing is known of what follows it, 1 it "
        "called a tool, so its session goes on, 2 it continued a conversation with a "
        "person, who may come back, 3 it was preempted and waits to go on",
    ),
)
BLOCK_FLOATS = (
    Column("inserted_s", "when it was first let go of"),
    Column("last_used_s", "when it was last let go of"),
    Column("recompute_s", "engine time to compute it again"),
)
EVENT_INTS = (
    Column("id", "opaque content, as in blocks"),
    Column("hit", "1 if a request found it, 0 if it is new (first let go of)"),
)
EVENT_FLOATS = (Column("at_s", "when"),)


class Blocks(NamedColumns):
    """Full KV blocks that nobody holds, the longest unused first."""

    int_columns = BLOCK_INTS
    float_columns = BLOCK_FLOATS


class Events(NamedColumns):
    """What befell blocks since the last question, in order."""

    int_columns = EVENT_INTS
    float_columns = EVENT_FLOATS


def events(ids: Ints, hits: Sequence[int], at_s: Floats) -> Events:
    """Events of these contents at these times."""
    return Events(np.array([ids, hits], dtype=np.int64), at_s.reshape(1, -1))
