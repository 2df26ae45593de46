"""A decoder of a model's sizes with random weights, and one engine step through it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional

from evaluators.calibration.shapes import ModelShape
from evaluators.kernels.attention import Chunker
from evaluators.kernels.bench import Bench
from evaluators.kernels.elementwise import gate, norm, rotate
from evaluators.kernels.paged import PAGE_TOKENS, Decode, Pages
from evaluators.kernels.sampling import greedy


class Layer(NamedTuple):
    """Weights of a layer, matrices as (outputs, inputs)."""

    first_norm: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    second_norm: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Random weights and KV memory.

    ``keys`` and ``values`` are (layers, pages, tokens of a page, kv heads, dim).
    """

    shape: ModelShape
    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor


class Chunk(NamedTuple):
    """Rows of a step that are a prompt's, and rows of its KV, the new ones last."""

    rows: tuple[int, int]
    tokens: tuple[int, int]


class Plan(NamedTuple):
    """A step of fixed shape, as tensors on the device; chunks first, then who decodes.

    ``slots`` are the token rows of the KV that each row writes, ``emitting`` the rows
    whose logits are asked for.
    """

    ids: torch.Tensor
    cosines: torch.Tensor
    sines: torch.Tensor
    slots: torch.Tensor
    emitting: torch.Tensor
    nothing: torch.Tensor
    chunks: tuple[Chunk, ...]
    attend: Chunker
    decodes: Pages | None
    decode: Decode | None


def build(bench: Bench, shape: ModelShape, n_layers: int, n_pages: int) -> Model:
    """A model of so many layers with KV memory of so many pages, all of it random.

    Raises ``ValueError`` for a model that is no dense one with a gate.
    """
    experts, latent = (getattr(shape, name, None) for name in ("experts", "latent"))
    if shape.ffn_matrices != 3 or experts or latent:
        raise ValueError(
            f"{shape.name} is no dense model with a gated layer; whole steps are of "
            "those only"
        )
    hidden, vocab = shape.hidden, shape.vocab
    page = (n_pages, PAGE_TOKENS, shape.kv_heads, shape.head_dim)
    return Model(
        shape,
        embedding=bench.random(vocab, hidden),
        layers=tuple(_layer(bench, shape) for _ in range(n_layers)),
        norm=1 + bench.random(hidden, scale=0.1),
        head=bench.random(vocab, hidden, scale=hidden**-0.5),
        keys=bench.random(n_layers, *page),
        values=bench.random(n_layers, *page),
    )


def _layer(bench: Bench, shape: ModelShape) -> Layer:
    qkv, out, up, down = shape.layer_matrices(1)
    made = [
        bench.random(m.columns, m.rows, scale=m.rows**-0.5)
        for m in (qkv, out, up, down)
    ]
    norms = [1 + bench.random(shape.hidden, scale=0.1) for _ in range(2)]
    return Layer(norms[0], made[0], made[1], norms[1], made[2], made[3])


def weight_bytes(shape: ModelShape, n_layers: int) -> int:
    """Bytes of the weights of so many layers, with both embeddings."""
    layer = sum(m.rows * m.columns for m in shape.layer_matrices(1))
    numbers = n_layers * layer + 2 * shape.vocab * shape.hidden
    return numbers * shape.weight_bytes


def step(model: Model, plan: Plan) -> torch.Tensor:
    """One engine step; returns the token chosen for each row that emits one."""
    residual = functional.embedding(plan.ids, model.embedding)
    delta = plan.nothing
    for number in range(len(model.layers)):
        delta = layer(model, plan, number, delta, residual)
    found = norm(delta, residual, model.norm)[plan.emitting]
    return greedy(functional.linear(found, model.head))


def layer(
    model: Model,
    plan: Plan,
    number: int,
    delta: torch.Tensor,
    residual: torch.Tensor,
) -> torch.Tensor:
    """What a layer adds to the residual, which takes ``delta`` in before."""
    weights, shape = model.layers[number], model.shape
    qkv = functional.linear(norm(delta, residual, weights.first_norm), weights.qkv)
    rotate(qkv, plan.cosines, plan.sines, shape.heads + shape.kv_heads)
    attended = _attend(model, plan, number, qkv)
    delta = functional.linear(attended, weights.out)
    wide = functional.linear(norm(delta, residual, weights.second_norm), weights.up)
    return functional.linear(gate(wide), weights.down)


def _attend(model: Model, plan: Plan, number: int, qkv: torch.Tensor) -> torch.Tensor:
    """Write keys and values where they belong, then attend chunk by chunk."""
    shape, keys, values = model.shape, model.keys[number], model.values[number]
    heads, kv_heads, dim = shape.heads, shape.kv_heads, shape.head_dim
    query, key, value = (
        part.reshape(len(qkv), -1, dim)
        for part in qkv.split([heads * dim, kv_heads * dim, kv_heads * dim], 1)
    )
    flat_keys, flat_values = keys.flatten(0, 1), values.flatten(0, 1)
    flat_keys.index_copy_(0, plan.slots, key)
    flat_values.index_copy_(0, plan.slots, value)
    outs, n_rows = [], 0
    for (first, last), (start, stop) in plan.chunks:
        own = flat_keys[start:stop], flat_values[start:stop]
        outs.append(plan.attend(query[first:last], *own))
        n_rows = last
    if plan.decode is not None:
        outs.append(plan.decode(query[n_rows:], keys, values))
    whole = outs[0] if len(outs) == 1 else torch.cat(outs)
    return whole.reshape(len(qkv), heads * dim)
