"""Steps of a simulated schedule as whole-model steps on the device at hand."""

import platform
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch

from evaluators.calibration.config_json import model_shape
from evaluators.calibration.shapes import ModelShape
from evaluators.kernels import provenance
from evaluators.kernels.bench import Bench, Effort, Kind, bench
from evaluators.kernels.model import build, step, weight_bytes
from evaluators.kernels.step_plan import plan
from evaluators.kernels.step_shape import StepShape
from evaluators.kernels.steps import CHECKED, captured, layer_error

EFFORTS = {"cpu": Effort(5, 20, 0.15), "cuda": Effort(10, 50, 0.1)}
MEMORY_BYTES = {"cpu": 1 << 31}
"""Of a CPU's memory that a replay takes."""


class Timed(NamedTuple):
    """Median seconds of each step, and what they were timed on."""

    seconds: tuple[float, ...]
    device: str
    clock: str


def check(kind: Kind, model: str) -> None:
    """Raise ``ValueError`` now for what a replay of this model would stop at later."""
    shape = model_shape(model)
    if shape.experts is not None or shape.latent is not None:
        raise ValueError(f"kernel_replay runs dense models; {model} is none")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("kernel_replay=cuda: there is no CUDA device here")


def timed(kind: Kind, model: str, steps: Sequence[StepShape], seed: int) -> Timed:
    """Run each step with random weights; CUDA graphs on CUDA, eager on a CPU.

    The model's layer is held against float64 first. Raises ``ValueError`` when it
    errs, or when the steps do not fit into the memory.
    """
    made, shape = bench(kind, EFFORTS[kind], seed=seed), model_shape(model)
    needed = max([CHECKED.kv_tokens, *(each.kv_tokens for each in steps)]) // 16
    _check_memory(made, shape, needed)
    decoder = build(made, shape, shape.layers, needed)
    error = layer_error(made, decoder)
    if not error <= made.tolerance:
        raise ValueError(f"a layer of {model} errs by {error:.2g}; nothing was timed")
    found = []
    for each in steps:
        run = partial(step, decoder, plan(made, decoder, each))
        call = captured(run)[0] if kind == "cuda" else run
        found.append(made.timed([call]).p50)
    return Timed(tuple(found), _device(made), _clock(made))


def _check_memory(made: Bench, shape: ModelShape, n_pages: int) -> None:
    page = 2 * 16 * shape.layers * shape.kv_heads * shape.head_dim
    wanted = weight_bytes(shape, shape.layers) + n_pages * page * made.dtype.itemsize
    room = MEMORY_BYTES.get(made.kind) or torch.cuda.mem_get_info(made.device)[0]
    if wanted > 0.9 * room:
        raise ValueError(
            f"kernel_replay needs {wanted / 2**30:.1f} GiB for {shape.name} and the "
            f"KV of its steps; there are {room / 2**30:.1f} GiB"
        )


def _device(made: Bench) -> str:
    if made.kind == "cuda":
        return str(torch.cuda.get_device_name(made.device))
    return f"{provenance.processor()} ({platform.machine()}), one thread"


def _clock(made: Bench) -> str:
    return "device events" if made.kind == "cuda" else "CPU time of the process"
