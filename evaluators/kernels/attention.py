"""Attention in float64, which kernels are held against, and of one request."""

from collections.abc import Callable

import torch
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from evaluators.kernels.bench import Bench, error, exact

Chunker = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of a chunk's queries (queries, heads, dim) and of all its request's keys and values
(tokens, kv heads, dim): the attention, shaped as the queries."""


def reference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """Causal attention of one request in float64, shape (queries, heads, dim).

    ``query`` is (queries, heads, dim); ``key`` and ``value`` (tokens, kv heads, dim).
    The queries are the last of the tokens, each sees those up to itself.
    """
    q, k, v = exact(query), exact(key), exact(value)
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = torch.einsum("qhd,thd->hqt", q, k) * q.shape[2] ** -0.5
    n_queries, n_tokens = scores.shape[1:]
    last = torch.arange(n_tokens - n_queries, n_tokens)
    hidden = torch.arange(n_tokens)[None, :] > last[:, None]
    weights = torch.softmax(scores.masked_fill(hidden, float("-inf")), -1)
    return torch.einsum("hqt,thd->qhd", weights, v)


def ends(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Of queries, keys and values the first and the last KV head with its queries.

    All heads run the same code on their own numbers; float64 takes too long for all.
    """
    kv_heads = min(tensor.shape[1] for tensor in tensors)
    if kv_heads <= 2:
        return list(tensors)
    found = []
    for tensor in tensors:
        group = tensor.shape[1] // kv_heads
        found.append(torch.cat((tensor[:, :group], tensor[:, -group:]), 1))
    return found


def chunker(bench: Bench) -> tuple[str, Chunker]:
    """The first way to attend a chunk that is right on this device, by name.

    Tried on a chunk after a prefix and on a whole prompt; kept for the next caller.
    Raises ``ValueError`` where none is right.
    """
    if "chunker" not in bench.kept:
        bench.kept["chunker"] = next(
            (each for each in WAYS.items() if _is_right(bench, each[1])), None
        )
    found: tuple[str, Chunker] | None = bench.kept["chunker"]
    if found is None:
        raise ValueError(f"none of {', '.join(WAYS)} attends rightly on this device")
    return found


def _is_right(bench: Bench, way: Chunker) -> bool:
    for queries, tokens in ((48, 48), (40, 133), (1, 17)):
        query = bench.random(queries, 8, 64)
        key, value = bench.random(tokens, 2, 64), bench.random(tokens, 2, 64)
        try:
            found = way(query, key, value)
        except RuntimeError:  # what torch raises for what it has no kernel for
            return False
        if error(found, reference(query, key, value)) > bench.tolerance:
            return False
    return True


def _lower_right(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
    is_grouped = q.shape[1] != k.shape[1]
    if query.shape[0] == key.shape[0]:
        out = functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=is_grouped
        )
    else:
        mask = causal_lower_right(query.shape[0], key.shape[0])
        out = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, enable_gqa=is_grouped
        )
    return out[0].transpose(0, 1)


def _repeated(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    group = query.shape[1] // key.shape[1]
    own = (each.repeat_interleave(group, 1) for each in (key, value))
    return _lower_right(query, *own)


def _masked(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    group, (queries, tokens) = query.shape[1] // key.shape[1], (len(query), len(key))
    own = (each.repeat_interleave(group, 1) for each in (key, value))
    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, *own))
    where = {"device": query.device}
    last = torch.arange(tokens - queries, tokens, **where)[:, None]
    mask = torch.arange(tokens, **where)[None] <= last
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out[0].transpose(0, 1)


WAYS: dict[str, Chunker] = {
    "sdpa, causal from the lower right": _lower_right,
    "sdpa, causal from the lower right, KV heads repeated": _repeated,
    "sdpa, masked, KV heads repeated": _masked,
}
"""Causal attention of a chunk that ends its tokens, the fastest first."""


def token(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention of one request's newest token; ``query`` is (heads, dim).

    The heads that share a KV head are its queries, so that nothing is copied.
    """
    heads, dim = query.shape
    q = query.view(1, key.shape[1], heads // key.shape[1], dim)
    k, v = key.transpose(0, 1)[None], value.transpose(0, 1)[None]
    out = functional.scaled_dot_product_attention(q, k, v)
    return out.reshape(heads, dim)
