"""Grouped matrix products of an expert layer, balanced and not."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch.nn import functional

from evaluators.kernels.bench import Bench, error, exact
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "moe"
SIZES = ("tokens", "hidden", "inter", "topk", "experts", "tp", "ep", "distribution")
DISTRIBUTIONS = {"balanced": 0.0, "power_law_0.6": 0.6, "power_law_1.2": 1.2}
"""By the exponent: the expert of rank r is chosen in proportion to r to its minus."""
COMPARED = 24


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Each expert layer at every other number of tokens, at each imbalance."""
    return [
        (tokens, hidden, inter, topk, count, 1, 1, name)
        for hidden, inter, topk, count in grid.experts
        for name in DISTRIBUTIONS
        for tokens in grid.tokens[::2]
    ]


def loads(tokens: int, topk: int, experts: int, exponent: float) -> list[int]:
    """Tokens of each expert, whole numbers that sum to tokens x topk.

    An expert gets a token at most once, so the excess of the first goes to the others.
    """
    weights = np.arange(1, experts + 1, dtype=float) ** -exponent
    left, found = float(tokens * topk), np.zeros(experts)
    for _ in range(experts):
        is_open = found < tokens
        share = left * weights * is_open / float((weights * is_open).sum())
        found = np.minimum(found + share, tokens)
        left = tokens * topk - float(found.sum())
        if left < 1e-9:
            break
    whole = np.floor(found + 1e-9).astype(int)
    rest = np.argsort(whole - found, kind="stable")
    short = tokens * topk - int(whole.sum())
    for expert in rest[whole[rest] < tokens][:short]:
        whole[expert] += 1
    return [int(count) for count in whole]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The library's grouped product, and one product an expert.

    Gate and up, activation, down; routing, sorting and weighting are left out.
    """
    del grid
    tokens, hidden, inter, topk, count = (int(size) for size in point[:5])
    sizes = loads(tokens, topk, count, DISTRIBUTIONS[str(point[7])])
    x = bench.random(tokens * topk, hidden)
    draws = [_weights(bench, hidden, inter, count) for _ in range(2)]
    runs: dict[str, Callable[..., torch.Tensor]] = {"product by expert": _by_expert}
    if bench.kind == "cuda" and hasattr(functional, "grouped_mm"):
        runs["grouped_mm"] = _grouped
    ends = torch.tensor(np.cumsum(sizes), dtype=torch.int32, device=bench.device)
    for name, run in runs.items():
        given = sizes if run is _by_expert else ends
        wrong = max(_error(run(x, given, *draw), x, sizes, *draw) for draw in draws)
        yield Candidate(name, [partial(run, x, given, *draw) for draw in draws], wrong)


def _weights(
    bench: Bench, hidden: int, inter: int, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Up with gate (experts, 2 x inter, hidden) and down (experts, hidden, inter)."""
    key = f"experts {hidden} {inter} {count}"
    kept = bench.kept.setdefault(key, [])
    if len(kept) < 2:
        up = bench.random(count, 2 * inter, hidden, scale=hidden**-0.5)
        down = bench.random(count, hidden, inter, scale=inter**-0.5)
        kept.append((up, down))
        return up, down
    kept.reverse()
    found: tuple[torch.Tensor, torch.Tensor] = kept[0]
    return found


def _grouped(
    x: torch.Tensor, ends: torch.Tensor, up: torch.Tensor, down: torch.Tensor
) -> torch.Tensor:
    wide = functional.grouped_mm(x, up.transpose(1, 2), offs=ends)
    gate, through = wide.chunk(2, 1)
    product = functional.silu(gate) * through
    return functional.grouped_mm(product, down.transpose(1, 2), offs=ends)


def _by_expert(
    x: torch.Tensor, sizes: list[int], up: torch.Tensor, down: torch.Tensor
) -> torch.Tensor:
    outs = []
    for expert, rows in enumerate(x.split(sizes)):
        if len(rows):
            gate, through = functional.linear(rows, up[expert]).chunk(2, 1)
            product = functional.silu(gate) * through
            outs.append(functional.linear(product, down[expert]))
    return torch.cat(outs)


def _error(
    found: torch.Tensor,
    x: torch.Tensor,
    sizes: list[int],
    up: torch.Tensor,
    down: torch.Tensor,
) -> float:
    """Of some rows of the first and of the last expert with any.

    In float64 on the device: to move all weights for it would take most of the time.
    """
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    used = [expert for expert, size in enumerate(sizes) if size]
    worst = 0.0
    for expert in {used[0], used[-1]}:
        start = sum(sizes[:expert])
        rows = slice(start, start + min(COMPARED, sizes[expert]))
        gate, through = (x[rows].double() @ up[expert].double().T).chunk(2, 1)
        product = functional.silu(gate) * through
        expected = exact(product @ down[expert].double().T)
        worst = max(worst, error(found[rows], expected))
    return worst
