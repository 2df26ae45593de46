"""One layer of a model, in turn with others so that no cache holds its weights."""

from collections.abc import Iterator
from functools import partial

from evaluators.calibration.step_time import Batch
from evaluators.kernels.bench import Bench
from evaluators.kernels.grid import Grid
from evaluators.kernels.model import layer
from evaluators.kernels.operation import Candidate
from evaluators.kernels.step_plan import plan
from evaluators.kernels.step_shape import step_shape
from evaluators.kernels.steps import whole
from evaluators.kernels.table import Size

NAME = "layers"
SIZES = Batch._fields
TURNS = 4
"""Layers that take turns, or all that the model has."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Every other step of the grid."""
    shapes = [step_shape(size) for size in grid.steps[::2]]
    return [tuple(batch) for batch in dict.fromkeys(shape.batch for shape in shapes)]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The layer, kernel by kernel; nothing where the memory is too small."""
    shapes = {step_shape(size).batch: step_shape(size) for size in grid.steps}
    shape = shapes[Batch(*map(int, point))]
    n_layers = min(TURNS, grid.model.layers)
    model, wrong = whole(bench, grid, n_layers)
    if shape.kv_tokens > model.keys.shape[1] * model.keys.shape[2]:
        return
    made = plan(bench, model, shape)
    x = bench.random(len(made.ids), grid.model.hidden)
    residual = bench.random(len(made.ids), grid.model.hidden)
    calls = [partial(layer, model, made, n, x, residual) for n in range(n_layers)]
    yield Candidate("eager", calls, wrong)
