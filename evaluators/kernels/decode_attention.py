"""Decode attention over KV pages, requests of equal contexts."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from evaluators.kernels import attention
from evaluators.kernels.bench import Bench, error
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.paged import (
    PAGE_TOKENS,
    Pages,
    decoder,
    gathered,
    n_pages,
    pages,
    scatters,
)
from evaluators.kernels.table import Size

NAME = "decode_attention"
SIZES = ("batch", "context", "heads", "kv_heads", "head_dim")
COMPARED = 3
"""Requests of a batch that are compared with float64."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Every batch at every context that fits; other head layouts at every third."""
    fits = [
        (n, c) for n in grid.batches for c in grid.contexts if n * c <= grid.kv_tokens
    ]
    own = (grid.model.heads, grid.model.kv_heads, grid.model.head_dim)
    found = [(*pair, *own) for pair in fits]
    found += [
        (*pair, shape.heads // tp, max(1, shape.kv_heads // tp), shape.head_dim)
        for shape, tp in grid.others
        for pair in fits[::3]
    ]
    return list(dict.fromkeys(found))


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The device's kernel over pages."""
    del grid
    batch, context, heads, kv_heads, dim = (int(size) for size in point)
    yield from kernels(bench, [context] * batch, (heads, kv_heads, dim))


def kernels(
    bench: Bench, contexts: Sequence[int], layout: tuple[int, int, int]
) -> Iterator[Candidate]:
    """The device's kernel for these contexts, checked on some of the requests."""
    heads, kv_heads, dim = layout
    total = n_pages(contexts)
    page = (PAGE_TOKENS, kv_heads, dim)
    turns = bench.rotations(2 * total * PAGE_TOKENS * kv_heads * dim * 4)
    draws = [
        (
            bench.random(len(contexts), heads, dim),
            bench.random(total, *page),
            bench.random(total, *page),
        )
        for _ in range(min(4, turns))
    ]
    at = pages(bench, contexts, is_scattered=scatters(bench))
    name, decode = decoder(bench, at, heads, kv_heads)
    worst = max(_error(at, decode(*draw), *draw) for draw in draws[:2])
    yield Candidate(name, [partial(decode, *draw) for draw in draws], worst)


def _error(
    at: Pages,
    found: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
) -> float:
    """Of the first, the last and the longest request; the rest must be numbers."""
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    longest = at.tokens.index(max(at.tokens))
    rows = list(dict.fromkeys((0, len(at.tokens) - 1, longest)))[:COMPARED]
    worst = 0.0
    for row in rows:
        own = gathered(at, key, row), gathered(at, value, row)
        q, k, v, out = attention.ends(query[row][None], *own, found[row][None])
        worst = max(worst, error(out, attention.reference(q, k, v)))
    return worst
