# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# mypy: allow-untyped-calls
# ruff: noqa: ANN001, ANN202 (Triton compiles these functions; it takes no types)
"""Decode attention over KV pages in Triton, split over the context (flash decoding).

Each program reads one slice of one request's tokens for the query heads that share one
KV head, with the running maximum and sum of the softmax; a second kernel joins the
slices. Sums are in float32.
"""

import torch
import triton
import triton.language as tl

from evaluators.kernels.paged import PAGE_TOKENS, Decode, Pages

BLOCK_TOKENS = 64
"""Tokens that a program reads at once: four pages."""
LEAST_QUERIES = 16
"""Rows that a matrix unit takes at least; the heads of a group are padded to it."""
WAVES = 4
"""Programs a multiprocessor that slices are cut for."""
MOST_SLICES = 64

_PAGE, _BLOCK = tl.constexpr(PAGE_TOKENS), tl.constexpr(BLOCK_TOKENS)
"""Triton reads no other global."""


@triton.jit
def _rows(base, at, d, is_there):
    """Rows of ``dim`` numbers that begin ``at`` these places; zeros where none is."""
    return tl.load(base + at[:, None] + d[None, :], mask=is_there[:, None], other=0.0)


@triton.jit
def _seen(scores, v, is_token, top, total, out):
    """The running softmax after these tokens, too."""
    scores = tl.where(is_token[None, :], scores, -1.0e30)
    higher = tl.maximum(top, tl.max(scores, 1))
    weights = tl.where(is_token[None, :], tl.exp(scores - higher[:, None]), 0.0)
    kept = tl.exp(top - higher)
    out = out * kept[:, None] + tl.dot(weights.to(v.dtype), v)
    return higher, total * kept + tl.sum(weights, 1), out


@triton.jit
def _slice(  # noqa: PLR0913 (a kernel's arguments are flat)
    query,
    key,
    value,
    table,
    lengths,
    partial,
    tops,
    sums,
    query_stride,
    table_stride,
    kv_heads: tl.constexpr,
    group: tl.constexpr,
    dim: tl.constexpr,
    rows: tl.constexpr,
    slices: tl.constexpr,
):
    request, head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(lengths + request)
    span = tl.cdiv(length, _BLOCK * slices) * _BLOCK
    stop = tl.minimum(length, (part + 1) * span)
    r, d = tl.arange(0, rows), tl.arange(0, dim)
    at_head = (request * kv_heads + head) * group + r
    asked = query + request.to(tl.int64) * query_stride + head * group * dim
    q = _rows(asked, r * dim, d, r < group)
    top, total = tl.full([rows], -1.0e30, tl.float32), tl.zeros([rows], tl.float32)
    out = tl.zeros([rows, dim], tl.float32)
    for first in range(part * span, stop, _BLOCK):
        tokens = first + tl.arange(0, _BLOCK)
        named = table + request * table_stride + tokens // _PAGE
        pages = tl.load(named, mask=tokens < stop, other=0).to(tl.int64)
        at = ((pages * _PAGE + tokens % _PAGE) * kv_heads + head) * dim
        scores = tl.dot(q, tl.trans(_rows(key, at, d, tokens < stop))) * dim**-0.5
        v = _rows(value, at, d, tokens < stop)
        top, total, out = _seen(scores, v, tokens < stop, top, total, out)
    at_slice = at_head * slices + part
    tl.store(tops + at_slice, top, mask=r < group)
    tl.store(sums + at_slice, total, mask=r < group)
    into = partial + at_slice[:, None] * dim + d[None, :]
    tl.store(into, out, mask=(r < group)[:, None])


@triton.jit
def _join(  # noqa: PLR0913 (as above)
    partial,
    tops,
    sums,
    output,
    dim: tl.constexpr,
    slices: tl.constexpr,
    width: tl.constexpr,
):
    head = tl.program_id(0)
    s, d = tl.arange(0, width), tl.arange(0, dim)
    at = head * slices + s
    top = tl.load(tops + at, mask=s < slices, other=-1.0e30)
    total = tl.load(sums + at, mask=s < slices, other=0.0)
    weights = tl.exp(top - tl.max(top, 0))
    parts = _rows(partial, at * dim, d, s < slices)
    found = tl.sum(parts * weights[:, None], 0) / tl.sum(total * weights, 0)
    tl.store(output + head * dim + d, found.to(output.dtype.element_ty))


def plan(at: Pages, heads: int, kv_heads: int, units: int | None = None) -> Decode:
    """The kernels for these pages; buffers are made once, so a graph can hold them.

    ``units`` are the multiprocessors, by default the device's own. ``heads`` is a
    multiple of ``kv_heads``, and the size of a head a power of two, 16 at least.
    """
    requests, n_slices = len(at.tokens), slices(at, kv_heads, units or _units(at))
    where = {"device": at.table.device, "dtype": torch.float32}
    tops = torch.empty((requests * heads, n_slices), **where)
    sums = torch.empty_like(tops)
    partials: dict[int, torch.Tensor] = {}

    def decode(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        dim = query.shape[2]
        _check(query, key, value, (requests, heads, dim), (kv_heads, dim))
        if dim not in partials:
            partials[dim] = torch.empty((requests * heads, n_slices, dim), **where)
        output = torch.empty(query.shape, device=query.device, dtype=query.dtype)
        _launch(at, (query, key, value), (partials[dim], tops, sums), output)
        return output

    return decode


def _launch(
    at: Pages,
    inputs: tuple[torch.Tensor, ...],
    buffers: tuple[torch.Tensor, ...],
    output: torch.Tensor,
) -> None:
    """Both kernels; ``inputs`` are query, keys and values."""
    (requests, heads, dim), kv_heads = output.shape, inputs[1].shape[2]
    n_slices, group = buffers[1].shape[1], heads // kv_heads
    _slice[(requests, kv_heads, n_slices)](
        *(*inputs, at.table, at.lengths, *buffers),
        *(inputs[0].stride(0), at.table.stride(0)),
        kv_heads=kv_heads,
        group=group,
        dim=dim,
        rows=max(LEAST_QUERIES, triton.next_power_of_2(group)),
        slices=n_slices,
        num_warps=4,
        num_stages=3,
    )
    _join[(requests * heads,)](
        *(*buffers, output),
        dim=dim,
        slices=n_slices,
        width=triton.next_power_of_2(n_slices),
        num_warps=4,
    )


def slices(at: Pages, kv_heads: int, units: int) -> int:
    """Slices of the longest context that fill the device; a power of two."""
    wanted = max(1, WAVES * units // (len(at.tokens) * kv_heads))
    blocks = max(1, -(-max(at.tokens) // BLOCK_TOKENS))
    most = min(wanted, blocks, MOST_SLICES)
    return 1 << (most.bit_length() - 1)


def _units(at: Pages) -> int:
    found = torch.cuda.get_device_properties(at.table.device).multi_processor_count
    return int(found)


def _check(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    shape: tuple[int, ...],
    heads: tuple[int, int],
) -> None:
    """Raise ``ValueError`` for what the kernels would read or write beyond."""
    if tuple(query.shape) != shape or query.stride()[1:] != (shape[2], 1):
        raise ValueError(
            f"query is {tuple(query.shape)} with strides {query.stride()}; expected "
            f"{shape} with whole rows"
        )
    for name, cache in (("key", key), ("value", value)):
        if tuple(cache.shape[1:]) != (PAGE_TOKENS, *heads) or not cache.is_contiguous():
            raise ValueError(
                f"{name} pages are {tuple(cache.shape)}; expected whole ones of "
                f"{(PAGE_TOKENS, *heads)}"
            )
