"""Prefill attention: whole prompts, and chunks after a prefix."""

from collections.abc import Iterator
from functools import partial

import torch
from torch.nn import functional

from evaluators.kernels import attention
from evaluators.kernels.attention import Chunker
from evaluators.kernels.bench import Bench, error
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "prefill_attention"
SIZES = ("batch", "length", "prefix", "heads", "kv_heads", "head_dim")
COMPARED = 32
"""Last queries of a chunk that are compared with float64."""

MOST_TOKENS = 32768
"""Prompt tokens of a batch; engines seldom compute more in a step."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Every chunk after every prefix, and some batches of whole prompts."""
    own = (grid.model.heads, grid.model.kv_heads, grid.model.head_dim)
    found = [
        (1, length, prefix, *own) for length in grid.chunks for prefix in grid.prefixes
    ]
    found += [
        (batch, length, 0, *own)
        for batch in grid.batches[1:4]
        for length in grid.chunks
        if batch * length <= min(MOST_TOKENS, grid.kv_tokens)
    ]
    found += [
        (1, length, 0, shape.heads // tp, max(1, shape.kv_heads // tp), shape.head_dim)
        for shape, tp in grid.others
        for length in grid.chunks[::2]
    ]
    return list(dict.fromkeys(found))


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The library's fused attention, on whole batches or on one chunk."""
    del grid
    batch, length, prefix, heads, kv_heads, dim = (int(size) for size in point)
    total = length + prefix
    n_bytes = batch * total * 2 * kv_heads * dim * bench.dtype.itemsize
    draws = [
        (
            bench.random(batch, length, heads, dim),
            bench.random(batch, total, kv_heads, dim),
            bench.random(batch, total, kv_heads, dim),
        )
        for _ in range(min(4, bench.rotations(n_bytes)))
    ]
    name, run = _single(bench) if batch == 1 else ("sdpa, causal", _whole)
    worst = max(_error(run(*draw), *draw) for draw in draws[:2])
    yield Candidate(name, [partial(run, *draw) for draw in draws], worst)


def _single(bench: Bench) -> tuple[str, Chunker]:
    name, way = attention.chunker(bench)

    def run(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        return way(query[0], key[0], value[0])[None]

    return name, run


def _whole(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    q, k, v = (tensor.transpose(1, 2) for tensor in (query, key, value))
    grouped = q.shape[1] != k.shape[1]
    out = functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, enable_gqa=grouped
    )
    return out.transpose(1, 2)


def _error(
    found: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> float:
    """Of the last queries, which see all tokens, and of the first, which sees least."""
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    length = query.shape[1]
    seen = key.shape[1] - length + 1
    q, k, v, out = attention.ends(
        query[-1, -COMPARED:], key[-1], value[-1], found[-1, -COMPARED:]
    )
    last = error(out, attention.reference(q, k, v))
    q, k, v, out = attention.ends(
        query[0, :1], key[0, :seen], value[0, :seen], found[0, :1]
    )
    return max(last, error(out, attention.reference(q, k, v)))
