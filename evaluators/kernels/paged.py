"""KV memory in pages, and decode attention over it: equal and unequal contexts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from evaluators.kernels import attention
from evaluators.kernels.bench import Bench, has_triton

PAGE_TOKENS = 16
"""As vLLM's blocks on CUDA."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the KV of a batch's requests lies.

    ``table`` (requests, pages) names each request's pages in order, int32; ``lengths``
    (requests,) are its tokens, int32, and ``tokens`` the same as plain numbers.
    Without ``is_scattered`` a request's pages lie together in order.
    """

    table: torch.Tensor
    lengths: torch.Tensor
    tokens: tuple[int, ...]
    is_scattered: bool

    def span(self, request: int) -> tuple[int, int]:
        """First and last token row of a request whose pages lie together."""
        first = int(self.table[request, 0]) * PAGE_TOKENS
        return first, first + self.tokens[request]


def pages(
    bench: Bench, tokens: Sequence[int], *, first: int = 0, is_scattered: bool
) -> Pages:
    """Pages for requests of so many tokens, from page ``first`` on."""
    needed = [-(-count // PAGE_TOKENS) for count in tokens]
    names = torch.arange(first, first + sum(needed), dtype=torch.int32)
    if is_scattered:
        names = names[torch.from_numpy(bench.order.permutation(len(names)))]
    table = torch.full((len(tokens), max(needed)), first, dtype=torch.int32)
    start = 0
    for row, count in enumerate(needed):
        table[row, :count] = names[start : start + count]
        start += count
    lengths = torch.tensor(tokens, dtype=torch.int32)
    return Pages(
        table.to(bench.device), lengths.to(bench.device), tuple(tokens), is_scattered
    )


def n_pages(tokens: Sequence[int]) -> int:
    """Pages that requests of so many tokens take."""
    return sum(-(-count // PAGE_TOKENS) for count in tokens)


Decode = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of query (requests, heads, dim) and the key and value pages (pages, tokens of a page,
kv heads, dim): the attention of each request's newest token, shaped as the query."""


def decoder(bench: Bench, at: Pages, heads: int, kv_heads: int) -> tuple[str, Decode]:
    """The kernel for this device and batch, by name.

    On CUDA our Triton kernel over scattered pages, where Triton is installed; otherwise
    the library's attention, request by request, over pages that lie together.
    """
    if bench.kind == "cuda" and has_triton():
        from evaluators.kernels.paged_triton import plan  # noqa: PLC0415 (optional)

        return "triton, split over the context", plan(at, heads, kv_heads)
    spans = [at.span(request) for request in range(len(at.tokens))]

    def each(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        keys, values = key.flatten(0, 1), value.flatten(0, 1)
        outs = [
            attention.token(query[row], keys[first:last], values[first:last])
            for row, (first, last) in enumerate(spans)
        ]
        return torch.stack(outs)

    return "sdpa, request by request", each


def scatters(bench: Bench) -> bool:
    """Whether ``decoder`` takes pages wherever they lie."""
    return bench.kind == "cuda" and has_triton()


def gathered(at: Pages, cache: torch.Tensor, request: int) -> torch.Tensor:
    """Keys or values of one request in order, shape (tokens, kv heads, dim)."""
    n_tokens = at.tokens[request]
    used = at.table[request, : -(-n_tokens // PAGE_TOKENS)].long()
    return cache[used].flatten(0, 1)[:n_tokens]
