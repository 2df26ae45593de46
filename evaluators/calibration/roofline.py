"""Roofline: the step time of an unmeasured model, from its sizes and a data sheet."""

import numpy as np
from numpy.typing import NDArray

from evaluators.calibration.shapes import GpuSheet, Matrix, ModelShape
from evaluators.calibration.step_time import StepTime

PS_PER_S = 1e12


def roofline(
    model: ModelShape,
    gpu: GpuSheet,
    tp: int = 1,
    max_tokens: int = 16384,
    max_decodes: int = 1024,
) -> StepTime:
    """Fastest step that the data sheet allows, each operation on its own.

    An operation takes max(operations / peak, bytes / bandwidth), as in "LLM Inference
    Unveiled: Survey and Roofline Model Insights" (2024). Linear layers depend on the
    tokens of the step; the output matrix on the decoding requests (one row where none
    decodes); decode attention on the KV read; prefill attention on its operations
    only. Element-wise kernels, launches, the host and links between GPUs cost nothing.
    Everything is rounded down, so a sound measurement is never below it.
    """
    tokens = np.arange(max_tokens + 1, dtype=np.float64)
    layers = sum(_matrix_s(m, tokens, model, gpu) for m in model.layer_matrices(tp))
    rows = np.maximum(1.0, np.arange(max_decodes + 1, dtype=np.float64))
    head = _matrix_s(Matrix(model.hidden, model.vocab // tp), rows, model, gpu)
    width = model.layers * model.heads * model.head_dim / tp
    kv_bytes = model.kv_token_bytes / tp
    return StepTime(
        tokens_ps=_picoseconds(np.where(tokens > 0, layers * model.layers, 0.0)),
        decodes_ps=_picoseconds(head),
        context_ps=(
            _picoseconds(
                np.array([max(4 * width / gpu.flops_per_s, kv_bytes / gpu.bytes_per_s)])
            ),
        ),
        # Causal attention computes half of k * (k + 2 * done) pairs, 4 operations each.
        prefill_work_ps=int(2 * width / gpu.flops_per_s * PS_PER_S),
    )


def _matrix_s(
    matrix: Matrix, tokens: NDArray[np.float64], model: ModelShape, gpu: GpuSheet
) -> NDArray[np.float64]:
    weights = matrix.rows * matrix.columns
    moved = (weights + tokens * (matrix.rows + matrix.columns)) * model.weight_bytes
    peak = gpu.peak_flops_per_s(model.weight_bytes)
    compute_s: NDArray[np.float64] = 2 * tokens * weights / peak
    return np.maximum(compute_s, moved / gpu.bytes_per_s)


def _picoseconds(seconds: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple((seconds * PS_PER_S).astype(np.int64).tolist())
