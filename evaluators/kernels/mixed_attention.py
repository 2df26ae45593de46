"""Attention of a mixed batch: a prompt's chunk and requests that decode beside it."""

from collections.abc import Iterator, Sequence

from evaluators.kernels import decode_attention, prefill_attention
from evaluators.kernels.bench import Bench, Call
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "mixed_attention"
SIZES = ("chunk", "prefix", "batch", "context", "heads", "kv_heads", "head_dim")


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Every other chunk, two prefixes, some batches at some contexts."""
    own = (grid.model.heads, grid.model.kv_heads, grid.model.head_dim)
    return [
        (chunk, prefix, batch, context, *own)
        for chunk in grid.chunks[::2]
        for prefix in grid.prefixes[:2]
        for batch in grid.batches[1::3]
        for context in grid.contexts[1::2]
        if batch * context <= grid.kv_tokens
    ]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The kernels for prefill and for decode, one after the other."""
    chunk, prefix, batch, context = point[:4]
    layout = point[4:]
    parts = (
        next(
            prefill_attention.candidates(bench, grid, (1, chunk, prefix, *layout)),
        ),
        next(decode_attention.candidates(bench, grid, (batch, context, *layout))),
    )
    turns = min(len(part.calls) for part in parts)
    calls = [_both([part.calls[i] for part in parts]) for i in range(turns)]
    name = " + ".join(part.kernel for part in parts)
    yield Candidate(name, calls, max(part.error for part in parts))


def _both(calls: Sequence[Call]) -> Call:
    def run() -> None:
        for call in calls:
            call()

    return run
