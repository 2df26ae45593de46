"""Norm with residual, rotary embedding, gated activation, and writing KV into pages."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn import functional

from evaluators.kernels.bench import Bench, error, exact, has_triton
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "elementwise"
SIZES = ("operation", "tokens", "width")
EPSILON = 1e-5
THETA = 500000.0
"""Of Llama 3's rotary embedding."""
COMPARED = 64


def norm(x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """RMS norm of x plus the residual, which becomes the sum; shapes (rows, width)."""
    if _is_fused(x):
        from evaluators.kernels import fused_triton  # noqa: PLC0415 (optional)

        return fused_triton.norm(x, residual, weight, EPSILON)
    residual.add_(x)
    return functional.rms_norm(residual, weight.shape, weight, EPSILON)


def rotate(
    x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor, heads: int
) -> None:
    """Rotate the first ``heads`` heads of each row of x in place.

    ``cosines`` and ``sines`` are (rows, half a head) in float32.
    """
    if _is_fused(x):
        from evaluators.kernels import fused_triton  # noqa: PLC0415 (optional)

        fused_triton.rotate(x, cosines, sines, heads)
        return
    rows, half = cosines.shape
    turned = x[:, : heads * 2 * half].view(rows, heads, 2, half)
    a, b = turned[:, :, 0], turned[:, :, 1]
    c, s = cosines[:, None].to(x.dtype), sines[:, None].to(x.dtype)
    first, second = a * c - b * s, b * c + a * s
    a.copy_(first)
    b.copy_(second)


def gate(x: torch.Tensor) -> torch.Tensor:
    """SiLU of the first half of each row times the second half."""
    if _is_fused(x):
        from evaluators.kernels import fused_triton  # noqa: PLC0415 (optional)

        return fused_triton.gate(x)
    first, second = x.chunk(2, 1)
    return functional.silu(first) * second


def angles(positions: torch.Tensor, half: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (rows, half) in float32 of the tokens at these positions."""
    powers = torch.arange(half, device=positions.device, dtype=torch.float64) / half
    turned = positions.to(torch.float64)[:, None] * THETA ** -powers[None]
    return turned.cos().float(), turned.sin().float()


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Each operation of the model at every number of tokens."""
    shape = grid.model
    widths = {
        "norm": shape.hidden,
        "rotate": (shape.heads + shape.kv_heads) * shape.head_dim,
        "gate": shape.ffn,
        "write_kv": 2 * shape.kv_heads * shape.head_dim,
    }
    return [(name, m, width) for name, width in widths.items() for m in grid.tokens]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """Our fused Triton kernels on CUDA, where it is installed, else the library's."""
    name, rows, width = str(point[0]), int(point[1]), int(point[2])
    made = {"norm": _norm, "rotate": _rotate, "gate": _gate, "write_kv": _write_kv}
    turns = min(8, bench.rotations(rows * width * bench.dtype.itemsize))
    calls, worst = [], 0.0
    for turn in range(turns):
        call, check = made[name](bench, grid, rows, width)
        if turn < 2:
            worst = max(worst, check())
        calls.append(call)
    kernel = "triton" if bench.kind == "cuda" and has_triton() else "torch"
    yield Candidate(kernel, calls, worst)


Case = tuple[Callable[[], object], Callable[[], float]]
"""What is timed, and what gives its error; the error is asked for first."""


def _norm(bench: Bench, grid: Grid, rows: int, width: int) -> Case:
    del grid
    x, residual, weight = (
        bench.random(rows, width),
        bench.random(rows, width),
        bench.random(width),
    )

    def check() -> float:
        total = exact(x[:COMPARED]) + exact(residual[:COMPARED])
        scale = (total.square().mean(1, keepdim=True) + EPSILON).rsqrt()
        found = norm(x, residual.clone(), weight)
        return error(found[:COMPARED], total * scale * exact(weight))

    return partial(norm, x, residual, weight), check


def _rotate(bench: Bench, grid: Grid, rows: int, width: int) -> Case:
    half = grid.model.head_dim // 2
    x = bench.random(rows, width + 2 * half)
    heads = width // (2 * half)
    cosines, sines = angles(torch.arange(rows, device=bench.device), half)

    def check() -> float:
        kept = exact(x[-COMPARED:])
        shown = kept[:, :width].view(len(kept), heads, 2, half)
        c, s = (exact(each[-COMPARED:])[:, None] for each in (cosines, sines))
        first, second = shown[:, :, 0], shown[:, :, 1]
        turned = torch.stack((first * c - second * s, second * c + first * s), 2)
        rotate(x, cosines, sines, heads)
        kept[:, :width] = turned.view(len(kept), width)
        return error(x[-COMPARED:], kept)

    return partial(rotate, x, cosines, sines, heads), check


def _gate(bench: Bench, grid: Grid, rows: int, width: int) -> Case:
    del grid
    x = bench.random(rows, 2 * width)

    def check() -> float:
        first, second = exact(x[:COMPARED]).chunk(2, 1)
        return error(gate(x)[:COMPARED], functional.silu(first) * second)

    return partial(gate, x), check


def _write_kv(bench: Bench, grid: Grid, rows: int, width: int) -> Case:
    heads = grid.model.kv_heads
    cache = bench.random(2, max(rows, 64) * 4, heads, grid.model.head_dim)
    new = bench.random(2, rows, heads, grid.model.head_dim)
    places = bench.order.permutation(cache.shape[1])[:rows]
    slots = torch.from_numpy(places).to(bench.device)
    assert width == new[0].numel() * 2 // rows

    def write() -> None:
        cache[0].index_copy_(0, slots, new[0])
        cache[1].index_copy_(0, slots, new[1])

    def check() -> float:
        write()
        return 0.0 if bool(torch.equal(cache[:, slots], new)) else float("inf")

    return write, check


def _is_fused(x: torch.Tensor) -> bool:
    return bool(x.is_cuda) and has_triton()
