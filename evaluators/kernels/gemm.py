"""Dense matrix products of a model's shapes: x (m, k) times w (k, n)."""

from collections.abc import Iterator
from functools import partial

import torch
from torch.nn import functional

from evaluators.calibration.shapes import ModelShape
from evaluators.kernels.bench import Bench, error, exact
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "gemm"
SIZES = ("m", "n", "k")
COMPARED = 48
"""Rows and columns of an output that are compared with float64."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """The model's matrices at every m, then those of the others at every third."""
    own = [(m, n, k) for n, k in _matrices(grid.model, 1) for m in grid.tokens]
    more = [
        (m, n, k)
        for shape, tp in grid.others
        for n, k in _matrices(shape, tp)
        for m in grid.tokens[::3]
    ]
    return list(dict.fromkeys([*own, *more]))


def _matrices(shape: ModelShape, tp: int) -> list[tuple[int, int]]:
    layer = [(m.columns, m.rows) for m in shape.layer_matrices(tp)]
    return [*layer, (shape.vocab // tp, shape.hidden)]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The library's product with weights as (n, k), as engines keep them."""
    del grid
    m, n, k = (int(size) for size in point)
    turns = bench.rotations(n * k * bench.dtype.itemsize)
    inputs = [bench.random(m, k) for _ in range(min(turns, 4))]
    weights = [bench.random(n, k, scale=k**-0.5) for _ in range(turns)]
    worst = max(
        _error(bench, x, w) for x, w in zip(inputs[:2], weights[:2], strict=True)
    )
    calls = [
        partial(functional.linear, inputs[i % len(inputs)], w)
        for i, w in enumerate(weights)
    ]
    yield Candidate("linear", calls, worst)


def _error(bench: Bench, x: torch.Tensor, w: torch.Tensor) -> float:
    """Of some rows and columns; all others must be numbers at least."""
    found = functional.linear(x, w)
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    rows = _some(bench, len(x))
    columns = _some(bench, len(w))
    reference = exact(x[rows]) @ exact(w[columns]).T
    return error(found[rows][:, columns], reference)


def _some(bench: Bench, length: int) -> torch.Tensor:
    if length <= COMPARED:
        return torch.arange(length, device=bench.device)
    return bench.whole(0, length, COMPARED)
