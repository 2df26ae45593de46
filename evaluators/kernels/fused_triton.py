# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# mypy: allow-untyped-calls
# ruff: noqa: ANN001, ANN202 (Triton compiles these functions; it takes no types)
"""A layer's element-wise kernels in Triton, fused as engines fuse them."""

import torch
import triton
import triton.language as tl

WIDTH = 1024
"""Numbers that a program of the activation takes."""


@triton.jit
def _norm(  # noqa: PLR0913 (a kernel's arguments are flat)
    x, residual, weight, output, width, eps, block: tl.constexpr
):
    """Adds to the residual, which it updates, and norms the sum."""
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, block)
    there = at < width
    total = tl.load(residual + row + at, mask=there, other=0.0).to(tl.float32)
    total += tl.load(x + row + at, mask=there, other=0.0).to(tl.float32)
    tl.store(residual + row + at, total.to(residual.dtype.element_ty), mask=there)
    mean = tl.sum(total * total, 0) / width
    scale = tl.load(weight + at, mask=there, other=0.0).to(tl.float32)
    found = total * tl.rsqrt(mean + eps) * scale
    tl.store(output + row + at, found.to(output.dtype.element_ty), mask=there)


@triton.jit
def _rotate(x, cosines, sines, stride, heads, half: tl.constexpr):
    """Rotates the first ``heads`` heads of a token in place, by halves."""
    token = tl.program_id(0)
    at = tl.arange(0, half)
    c = tl.load(cosines + token * half + at)
    s = tl.load(sines + token * half + at)
    for head in range(0, heads):
        first = x + token.to(tl.int64) * stride + head * 2 * half + at
        a, b = tl.load(first).to(tl.float32), tl.load(first + half).to(tl.float32)
        tl.store(first, (a * c - b * s).to(x.dtype.element_ty))
        tl.store(first + half, (b * c + a * s).to(x.dtype.element_ty))


@triton.jit
def _gate(x, output, width, block: tl.constexpr):
    """The first half of a row through SiLU, times the second."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * block + tl.arange(0, block)
    there = at < width
    gate = tl.load(x + row * 2 * width + at, mask=there, other=0.0).to(tl.float32)
    up = tl.load(x + (row * 2 + 1) * width + at, mask=there, other=0.0).to(tl.float32)
    found = gate * tl.sigmoid(gate) * up
    tl.store(output + row * width + at, found.to(output.dtype.element_ty), mask=there)


def norm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """As ``elementwise.norm``; all tensors whole."""
    rows, width = x.shape
    output = torch.empty_like(x)
    block = triton.next_power_of_2(width)
    _norm[(rows,)](x, residual, weight, output, width, eps, block=block, num_warps=8)
    return output


def rotate(
    x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor, heads: int
) -> None:
    """As ``elementwise.rotate``; the half of a head is a power of two."""
    tokens, half = cosines.shape
    stride = x.stride(0)
    _rotate[(tokens,)](x, cosines, sines, stride, heads, half=half, num_warps=1)


def gate(x: torch.Tensor) -> torch.Tensor:
    """As ``elementwise.gate``; ``x`` whole."""
    rows, width = x.shape[0], x.shape[1] // 2
    output = torch.empty((rows, width), device=x.device, dtype=x.dtype)
    grid = (rows, triton.cdiv(width, WIDTH))
    _gate[grid](x, output, width, block=WIDTH, num_warps=4)
    return output
