"""What a router sees: one request, the replicas by their last reports, who could move.

A view is two arrays, whole numbers and others, with a name for each row of them; so it
travels as it is, and nothing of an engine's own comes with it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.view_tables import Named, NamedColumns
from evaluators.views import Column, Floats, Ints

REQUEST_INTS = (
    Column("id", "opaque identity"),
    Column("prompt_tokens", "length of the prompt"),
    Column("predicted_tokens", "predicted total output tokens, with a stated error"),
    Column("generated_tokens", "output tokens so far; above 0 if its replica was lost"),
    Column("tenant", "index of the customer"),
    Column("slo_class", "index of the service class"),
    Column("session", "opaque identity of its session or agent; -1 if it has none"),
    Column("prefix", "opaque content of its prompt's first block; -1 if unknown"),
)
REQUEST_FLOATS = (
    Column("now_s", "time now"),
    Column("arrived_s", "arrival time; before now_s if it is routed again"),
    Column("first_token_due_s", "arrival plus the TTFT objective of its class"),
)
REPLICA_INTS = (
    Column("role", "0 both phases, 1 prompts only, 2 later tokens only (do not route)"),
    Column("healthy", "1 if it serves, 0 if it is down; as of now"),
    Column("outstanding", "requests sent there and not answered yet; as of now"),
    Column("sent", "requests sent there since its report"),
    Column("sent_tokens", "prompt tokens of these"),
    Column("running", "requests that hold KV memory"),
    Column("waiting", "requests that wait for admission"),
    Column("queued_tokens", "prompt tokens not computed yet, waiting and running"),
    Column("waiting_blocks", "KV blocks that its waiting requests need to start"),
    Column("free_blocks", "KV blocks free"),
    Column("total_blocks", "KV blocks in all"),
    Column("block_tokens", "tokens in a KV block"),
    Column("max_running", "most requests that may run at once"),
    Column("decoding", "running requests past their prompt"),
    Column("context_tokens", "KV tokens of the decoding requests"),
    Column("cached_tokens", "leading prompt tokens of it that are known to be there"),
    Column("in_migrations", "requests on their way there; as of now"),
)
REPLICA_FLOATS = (
    Column("tokens_per_s", "prompt tokens it computes a second when nobody decodes"),
    Column("last_step_s", "how long its last step took; 0 before the first"),
    Column("report_age_s", "how old the report is that all other columns come from"),
)
MOVABLE_INTS = (
    Column("id", "opaque identity"),
    Column("replica", "index of the replica that it decodes on"),
    Column("prompt_tokens", "length of the prompt"),
    Column("predicted_tokens", "predicted total output tokens, with a stated error"),
    Column("generated_tokens", "output tokens so far"),
    Column("blocks_held", "KV blocks it holds"),
    Column("tenant", "index of the customer"),
    Column("slo_class", "index of the service class"),
)
MOVABLE_FLOATS = (Column("arrived_s", "arrival time"),)


class Request(Named):
    """The request to be routed; every column is a number."""

    int_columns = REQUEST_INTS
    float_columns = REQUEST_FLOATS

    def __init__(self, ints: Ints, floats: Floats) -> None:
        super().__init__(ints, floats)
        values = self.__dict__
        for column, value in zip(REQUEST_INTS, ints.tolist(), strict=True):
            values[column.name] = value
        for column, number in zip(REQUEST_FLOATS, floats.tolist(), strict=True):
            values[column.name] = number


class Replicas(NamedColumns):
    """The replicas of a fleet, a row each, in a fixed order."""

    int_columns = REPLICA_INTS
    float_columns = REPLICA_FLOATS


class Movable(NamedColumns):
    """Decoding requests that no migration is moving, by replica, as they run."""

    int_columns = MOVABLE_INTS
    float_columns = MOVABLE_FLOATS


def read_only(rows: Sequence[Sequence[float]], kind: type[np.generic]) -> NDArray[Any]:
    """Rows of equal length as one array that nobody can write to."""
    array = np.array(rows, dtype=kind)
    array.flags.writeable = False
    return array
