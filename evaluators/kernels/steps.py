"""Whole-model steps with random weights: eager, and as one CUDA graph."""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from evaluators.calibration.step_time import Batch
from evaluators.kernels import attention
from evaluators.kernels.bench import Bench, error, exact
from evaluators.kernels.grid import Grid
from evaluators.kernels.model import Model, Plan, build, layer, step, weight_bytes
from evaluators.kernels.operation import Candidate
from evaluators.kernels.paged import gathered
from evaluators.kernels.step_plan import plan
from evaluators.kernels.step_shape import StepShape, step_shape
from evaluators.kernels.table import Size

NAME = "steps"
SIZES = ("mode", *Batch._fields)
MEMORY_SHARE = 0.8
"""Of the device's free memory that weights and KV may take."""
LAYER_TOLERANCE = 2.5
"""A layer's error adds up over its kernels: so many times a kernel's may pass."""
CHECKED = StepShape(((40, 24), (0, 7)), (19, 70, 1))
"""Chunks with and without a prefix beside unequal contexts, across pages."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Every step of the grid in each mode; where there is no graph, eager only."""
    return [(mode, *size) for size in _shapes(grid) for mode in ("eager", "graph")]


def _shapes(grid: Grid) -> dict[Batch, StepShape]:
    shapes = [step_shape(size) for size in grid.steps]
    return {shape.batch: shape for shape in shapes}


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """One step; none for a graph on a CPU, nor where the memory is too small."""
    mode, shape = str(point[0]), _shapes(grid)[Batch(*map(int, point[1:]))]
    if mode == "graph" and bench.kind == "cpu":
        return
    model, wrong = whole(bench, grid, grid.model.layers)
    if shape.kv_tokens > model.keys.shape[1] * model.keys.shape[2]:
        return
    made = plan(bench, model, shape)
    run = partial(step, model, made)
    eager = run()
    if not bool(((eager >= 0) & (eager < model.shape.vocab)).all()):
        wrong = float("inf")
    if mode == "eager":
        yield Candidate("eager", [run], wrong)
        return
    replay, tokens = captured(run)
    replay()
    bench.synchronize()
    is_same = bool((tokens == eager).float().mean() > 0.9)
    yield Candidate("graph", [replay], wrong if is_same else float("inf"))


def captured(
    run: Callable[[], torch.Tensor],
) -> tuple[Callable[[], None], torch.Tensor]:
    """A CUDA graph of a call, and where it leaves its result."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()
    return graph.replay, result


def whole(bench: Bench, grid: Grid, n_layers: int) -> tuple[Model, float]:
    """The model with so many layers, kept between sizes, and a layer's error."""
    key = f"model of {n_layers} layers"
    if key not in bench.kept:
        wanted = max(step_shape(size).kv_tokens for size in grid.steps)
        wanted = max(wanted, CHECKED.kv_tokens)
        n_pages = min(wanted // 16, _room(bench, grid, n_layers))
        model = build(bench, grid.model, n_layers, n_pages)
        bench.kept[key] = model, layer_error(bench, model)
    found: tuple[Model, float] = bench.kept[key]
    return found


def _room(bench: Bench, grid: Grid, n_layers: int) -> int:
    """Pages of KV that fit beside the weights."""
    shape = grid.model
    page = 2 * 16 * n_layers * shape.kv_heads * shape.head_dim * bench.dtype.itemsize
    if bench.kind == "cpu":
        return int((1 << 31) // page)
    free, _ = torch.cuda.mem_get_info(bench.device)
    room = MEMORY_SHARE * free - weight_bytes(shape, n_layers)
    if room < CHECKED.kv_tokens // 16 * page:
        raise ValueError(f"{shape.name} does not fit into {free} bytes of free memory")
    return int(room // page)


def layer_error(bench: Bench, model: Model) -> float:
    """Of the first layer's output on a small mixed step, against float64.

    Over ``LAYER_TOLERANCE``, so that what passes for a kernel passes here.
    """
    made = plan(bench, model, CHECKED)
    rows = len(made.ids)
    x = bench.random(rows, model.shape.hidden)
    residual = bench.random(rows, model.shape.hidden)
    expected = _exact_layer(model, made, exact(x), exact(residual))
    found = layer(model, made, 0, x, residual)
    return error(found, expected) / LAYER_TOLERANCE


def _exact_layer(
    model: Model, made: Plan, x: torch.Tensor, residual: torch.Tensor
) -> torch.Tensor:
    """The first layer in float64, written apart from the one that is timed."""
    weights, shape = model.layers[0], model.shape
    heads, kv_heads, dim = shape.heads, shape.kv_heads, shape.head_dim
    first = x + residual
    qkv = _normed(first, weights.first_norm) @ exact(weights.qkv).T
    query, key, value = (
        part.view(len(x), -1, dim)
        for part in qkv.split([heads * dim, kv_heads * dim, kv_heads * dim], 1)
    )
    query, key = (_turned(each, made) for each in (query, key))
    attended = _exact_attention(model, made, query, key, value)
    second = first + attended.reshape(len(x), -1) @ exact(weights.out).T
    wide = _normed(second, weights.second_norm) @ exact(weights.up).T
    gate, up = wide.chunk(2, 1)
    return (gate * torch.sigmoid(gate) * up) @ exact(weights.down).T


def _normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt() * exact(weight)


def _turned(x: torch.Tensor, made: Plan) -> torch.Tensor:
    """Rotated as complex numbers: the first half real, the second imaginary."""
    turn = torch.complex(exact(made.cosines), exact(made.sines))[:, None]
    turned = torch.complex(*x.contiguous().chunk(2, 2)) * turn
    return torch.cat((turned.real, turned.imag), 2)


def _exact_attention(
    model: Model,
    made: Plan,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
) -> torch.Tensor:
    """Each request's attention over what lay in memory and what is new."""
    keys, values = model.keys[0], model.values[0]
    outs, row = [], 0
    for (first, last), (start, stop) in made.chunks:
        kept = slice(start, stop - (last - first))
        own = [
            torch.cat((exact(cache.flatten(0, 1)[kept]), new[first:last]))
            for cache, new in ((keys, key), (values, value))
        ]
        outs.append(attention.reference(query[first:last], *own))
        row = last
    assert made.decodes is not None
    for request in range(len(made.decodes.tokens)):
        new = slice(row + request, row + request + 1)
        own = [
            torch.cat((exact(gathered(made.decodes, cache, request)[:-1]), each[new]))
            for cache, each in ((keys, key), (values, value))
        ]
        outs.append(attention.reference(query[new], *own))
    return torch.cat(outs)
