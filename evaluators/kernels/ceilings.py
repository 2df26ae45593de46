"""The two ceilings: bytes that memory moves, operations that matrix units do."""

from collections.abc import Iterator
from functools import partial

import torch

from evaluators.kernels import gemm
from evaluators.kernels.bench import Bench
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "ceilings"
SIZES = ("what", "size")
COPY_BYTES = 32
"""Times the square of the matrices' side: 2 GiB for a side of 8192."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """A large copy within the memory, and a large square product."""
    side = grid.ceiling
    return [("copy_bytes", COPY_BYTES * side * side), ("matrix_side", side)]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The library's copy and product; a copy must be equal to the last bit."""
    what, size = str(point[0]), int(point[1])
    if what == "matrix_side":
        yield from gemm.candidates(bench, grid, (size, size, size))
        return
    sources = [bench.random(size // bench.dtype.itemsize) for _ in range(2)]
    target = torch.empty_like(sources[0])
    target.copy_(sources[1])
    wrong = 0.0 if bool(torch.equal(target, sources[1])) else float("inf")
    calls = [partial(target.copy_, source) for source in sources]
    yield Candidate("copy", calls, wrong)
