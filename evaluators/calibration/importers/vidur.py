"""Reads Vidur's profiles (Agrawal et al., MLSys 2024) of Llama-2-70B on two A100.

Licence MIT. A folder holds ``compute/a100/meta-llama/Llama-2-70b-hf/mlp.csv.gz``, the
attention table ``history/a100_attention_flashattn_kineto.csv.gz`` (one layout: 64 query
and 8 KV heads on two ranks) and ``network/a100_dgx/all_reduce.csv.gz``. Times are
medians in ms.
"""

import csv
import gzip
from pathlib import Path

import numpy as np

from evaluators.calibration.composed import Composed, Outline, summed
from evaluators.calibration.curves import Columns, Curve, curve, sheet
from evaluators.calibration.importers.asked import Asked, needed
from evaluators.calibration.layer_sums import LayerSums
from evaluators.calibration.records import Provenance
from evaluators.calibration.shapes import GPUS, GpuSheet, ModelShape, known_model

FOLDER = "gpu/vidur"
MS = 1e-3
MODEL, RANKS, GPU = "llama-2-70b", 2, "a100-sxm-80g"
DENSE = "compute/a100/meta-llama/Llama-2-70b-hf/mlp.csv.gz"
ATTENTION = "history/a100_attention_flashattn_kineto.csv.gz"
NETWORK = "network/a100_dgx/all_reduce.csv.gz"

TIMES_A_LAYER = {
    "input_layernorm": 1,
    "attn_pre_proj": 1,
    "attn_rope": 1,
    "attn_post_proj": 1,
    "post_attention_layernorm": 1,
    "mlp_up_proj": 1,
    "mlp_act": 1,
    "mlp_down_proj": 1,
    "add": 2,
}
STEP_TOKENS, CONTEXT = 4096, 4032
HEAD_SHARE = 0.8
"""Of the peak rates that the output matrix reaches, which Vidur did not time."""

ASSUMPTIONS = (
    "A step is the sum of its operations; the host adds nothing per step.",
    f"The output matrix, not timed, runs at {HEAD_SHARE} of the data sheet's rates.",
    "Decode batches of unequal contexts cost what their total context costs.",
    "In a mixed step the attention of prefills runs after that of decodes, its start "
    "not paid again; several prefills run one after the other.",
    "No CUDA graphs: steps are not padded.",
)
REFERENCE = (
    "sums of the profiled operations, with a fit to tables that lack every third size, "
    "batch and context (median, 90th percentile); not a measured engine step"
)


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of the one model and layout whose attention is public.

    Raises ``ValueError`` naming the file that is missing or is not what it should be.
    """
    folder = needed(folder, "Vidur's tables need", FOLDER)
    if (asked.model, asked.tp, asked.gpu) != (MODEL, RANKS, "a100"):
        raise ValueError(
            f"Vidur's attention is public of {MODEL} on {RANKS} x a100 only; asked was "
            f"{asked.model} on {asked.tp} x {asked.gpu}"
        )
    model, gpu = known_model(MODEL), GPUS[GPU]
    sums = layer_sums(folder, model, gpu)
    provenance = Provenance(
        "Vidur (Agrawal et al., MLSys 2024, MIT), its profiler's medians: Llama-2-70B "
        "TP2, FlashAttention, all-reduce on a DGX",
        "NVIDIA A100 80 GB",
    )
    outline = Outline(
        model,
        gpu,
        RANKS,
        "float16",
        "vidur (Sarathi-era engine)",
        ASSUMPTIONS,
        REFERENCE,
        STEP_TOKENS,
        CONTEXT,
    )
    return summed(sums, sums.without_own(), outline, provenance)


def layer_sums(folder: Path, model: ModelShape, gpu: GpuSheet) -> LayerSums:
    """The sums of the three tables for two ranks."""
    names = [*TIMES_A_LAYER, "emb"]
    dense = _table(folder / DENSE, names, ("num_tokens", "num_tensor_parallel_workers"))
    own = dense["num_tensor_parallel_workers"] == RANKS
    tokens = {
        name: (
            float(model.layers * TIMES_A_LAYER.get(name, 0) or 1),
            curve(dense["num_tokens"][own], dense[name][own]),
        )
        for name in names
    }
    tokens["all-reduces"] = (2.0 * model.layers + 1, _reductions(folder, model))
    keys = ("batch_size", "prefill_chunk_size", "kv_cache_size")
    found = _table(folder / ATTENTION, ["attn_decode", "attn_prefill"], keys)
    decodes = _phase(found, "attn_decode", "batch_size", "kv_cache_size")
    chunks = _phase(found, "attn_prefill", "kv_cache_size", "prefill_chunk_size")
    return LayerSums(
        tokens,
        {"head": _head(model, gpu)},
        sheet(decodes, "length", False),
        sheet(chunks, "length", True),
        model.layers,
    )


def _reductions(folder: Path, model: ModelShape) -> Curve:
    """An all-reduce of a step's activations by its tokens."""
    keys = ("num_workers", "devices_per_node", "size")
    found = _table(folder / NETWORK, ["all_reduce"], keys)
    own = (found["num_workers"] == RANKS) & (found["devices_per_node"] == RANKS)
    sizes = np.asarray(found["size"], float)[own] / (2 * model.hidden)
    return curve(sizes, found["all_reduce"][own])


def _head(model: ModelShape, gpu: GpuSheet) -> Curve:
    rows = np.array([1.0, 64.0, 256.0, 1024.0])
    weights = model.hidden * model.vocab / RANKS
    compute = 2 * rows * weights / gpu.flops_per_s
    seconds = np.maximum(compute, 2 * weights / gpu.bytes_per_s) / HEAD_SHARE
    return Curve(rows, seconds)


def _phase(table: Columns, name: str, batch: str, length: str) -> Columns:
    """Rows where that operation was timed, its sizes as batch and length."""
    seconds = np.asarray(table[name], float)
    rows = np.isfinite(seconds) & (seconds > 0) & (np.asarray(table[length], float) > 0)
    columns = {"batch": table[batch], "length": table[length], "seconds": seconds}
    return {key: values[rows] for key, values in columns.items()}


def _table(path: Path, operations: list[str], keys: tuple[str, ...]) -> Columns:
    """Seconds of each operation, nan where it was not timed, beside the sizes."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    rows = list(csv.DictReader(lines))
    columns = {name: f"time_stats.{name}.median" for name in operations}
    missing = {*keys, *columns.values()} - set(rows[0] if rows else ())
    if missing:
        named = ", ".join(sorted(missing))
        raise ValueError(f"{path} has no column {named}, or no row")
    table = {key: np.array([float(row[key]) for row in rows]) for key in keys}
    for name, column in columns.items():
        table[name] = np.array([float(row[column] or "nan") for row in rows]) * MS
    return table
