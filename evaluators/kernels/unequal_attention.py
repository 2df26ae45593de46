"""Decode attention over KV pages, requests of unequal contexts: one long, or spread."""

from collections.abc import Iterator, Sequence

import numpy as np

from evaluators.kernels.bench import Bench
from evaluators.kernels.decode_attention import kernels
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "unequal_attention"
SIZES = (
    "batch",
    "context",
    "longest",
    "pattern",
    "heads",
    "kv_heads",
    "head_dim",
)
RATIOS = (2, 4, 8)
"""Of the longest context to the mean."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Batches of eight and more; ``context`` is the mean."""
    own = (grid.model.heads, grid.model.kv_heads, grid.model.head_dim)
    batches = [batch for batch in grid.batches if batch >= 4][::2]
    return [
        (batch, context, context * ratio, pattern, *own)
        for batch in batches
        for context in grid.contexts[1::2]
        if batch * context <= grid.kv_tokens
        for ratio in RATIOS
        if ratio < batch
        for pattern in ("one", "spread")
    ]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The device's kernel over pages."""
    del grid
    batch, context, longest = (int(size) for size in point[:3])
    heads, kv_heads, dim = (int(size) for size in point[4:])
    each = contexts(batch, context, longest, str(point[3]))
    yield from kernels(bench, each, (heads, kv_heads, dim))


def contexts(batch: int, mean: int, longest: int, pattern: str) -> list[int]:
    """Contexts with that mean and maximum, as nearly as whole tokens allow.

    ``one`` has a single long one and equal others; ``spread`` falls geometrically.
    """
    if batch == 1 or longest <= mean:
        return [mean] * batch
    if pattern == "one":
        rest = max(1, (batch * mean - longest) // (batch - 1))
        return [longest, *[rest] * (batch - 1)]
    return _falling(batch, mean, longest)


def _falling(batch: int, mean: int, longest: int) -> list[int]:
    """A geometric fall from the longest whose rate gives the mean, by bisection."""
    low, high = 0.0, 1.0
    powers: Sequence[int] = range(batch)
    for _ in range(60):
        rate = (low + high) / 2
        total = longest * float(np.sum(np.power(rate, powers)))
        low, high = (rate, high) if total < batch * mean else (low, rate)
    return [max(1, round(longest * low**power)) for power in powers]
