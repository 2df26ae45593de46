"""Fits Llama-3.1-8B on H100 to kernel tables that AIConfigurator publishes.

Run as ``python -m tests.calibration.llama31_8b_h100 DATA`` where DATA holds
``gpu/aiconfigurator/h100_sxm``; needs pandas and pyarrow. Prints the errors by regime.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from evaluators.calibration.calibration import expanded
from evaluators.calibration.fit import Kept, Kernels, as_text, everything, fit, relative
from evaluators.calibration.shapes import GPUS, MODELS
from evaluators.calibration.step_time import Batch, StepTime

NAME = "llama31_8b_h100"
MODEL = MODELS["llama-3.1-8b"]
GPU = GPUS["h100-sxm-80g"]
MAX_TOKENS = 16384
MAX_BATCH = 1024
KV_TOKENS = 29_000 * 16  # contexts that no H100 holds are not fitted

# AIConfigurator's own corrections for element-wise kernels (h100_sxm.yaml).
ELEMENTWISE_START_S = 3e-6
ELEMENTWISE_BANDWIDTH = 0.8
ELEMENTWISE_KERNELS = 5  # norm + add, rope, KV write, norm + add, gate

# A measured vLLM on H100 80 GB (Llama-2-7B, TP1) had this many blocks of 16 tokens.
MEASURED_BLOCKS, MEASURED_WEIGHTS, MEASURED_TOKEN_BYTES = 7462, 6_738_415_616, 524_288
OWN_WEIGHTS = 8_030_261_248
BLOCK_TOKENS = 16

# Sizes left out when the error is measured, together with all that is measured there.
HELD_TOKENS = {2, 4, 6, 8, 10, 12, 14, 16, 32, 33, 64, 65, 96, 97, 128, 129, 192, 193}
HELD_TOKENS |= {256, 257, 768, 769, 1280, 1281, 1792, 1793, 2304, 2305, 2816, 2817}
HELD_TOKENS |= {3328, 3329, 3840, 3841, 4352, 4353, 8192}
HELD_BATCH = {2, 8, 32, 128, 512}
HELD_CONTEXT = {256, 1024, 4096, 16384}
HELD_LENGTH = {32, 128, 512, 1536, 3072, 6144, 10240}


def calibration(data: Path) -> str:
    """Text of the calibration file."""
    kernels = read(data / "gpu" / "aiconfigurator" / "h100_sxm")
    content = {
        "model": MODEL.name,
        "gpu": GPU.name,
        "dtype": "bfloat16",
        "tp": 1,
        "engine": "vllm 0.24.0",
        "source": "AIConfigurator (NVIDIA, Apache-2.0), package aiconfigurator-core "
        "0.12.0, kernels timed on one NVIDIA H100 80GB HBM3 with vLLM 0.24.0: "
        "h100_sxm gemm_perf, context_attention_perf, generation_attention_perf; "
        "summed and fitted by tests/calibration/llama31_8b_h100.py",
        "status": "fitted from kernel tables",
        "assumptions": ASSUMPTIONS,
        "error": errors(kernels),
        "kv_blocks": _kv_blocks(),
        "block_tokens": BLOCK_TOKENS,
        "kv_source": KV_SOURCE,
        "step_time": fit(kernels, Kept(everything, everything, everything, everything)),
    }
    return as_text(content)


ASSUMPTIONS = [
    "A step is the sum of its kernels; the host adds nothing per step, since a fitted "
    "per-step constant made unseen models worse. HTTP and tokeniser time before the "
    "first token (about 6 ms in measured runs) is not part of a step.",
    "Five element-wise kernels a layer at 3 us + bytes / (0.8 of peak bandwidth): "
    "AIConfigurator's corrections, not timed by anyone here.",
    "n = 28672 and k = 14336 lie between measured sizes and are interpolated; the "
    "output matrix (n = 128256) extrapolates n = 65536 in proportion.",
    "Decode batches of unequal contexts cost what their total context costs; the "
    "table has equal contexts only.",
    "A prefill chunk after a computed prefix costs its work k * (k + 2 * done) at the "
    "rate of whole prompts; the table has whole prompts only.",
    "A mixed step pays decode and prefill attention one after the other, the prefill's "
    "start-up time excepted; batches are not padded to CUDA-graph sizes.",
]
KV_SOURCE = (
    "derived, not measured: a vLLM on H100 80 GB with Llama-2-7B had 7462 blocks of "
    "16 tokens (inference-sim/training, kv_blocks_total_gpu); the same memory less "
    "8.03e9 parameters of 2 bytes, at 131072 bytes a token"
)


def read(folder: Path) -> Kernels:
    """Kernel sums of the model, from the tables under ``folder``."""
    gemm = pd.read_parquet(folder / "gemm/vllm/0.24.0/gemm_perf.parquet")
    gemm = gemm[(gemm.gemm_dtype == "bfloat16") & (gemm.m <= MAX_TOKENS)]
    sizes = np.sort(gemm.m.unique()).astype(float)
    layer = sum(_gemm_ps(gemm, k, n) for k, n in MODEL.layer_matrices(1))
    rows = sizes <= MAX_BATCH
    decode = _attention(folder, "generation")
    decode = decode[
        (decode.batch_size * decode.kv <= KV_TOKENS) & (decode.batch_size <= MAX_BATCH)
    ]
    prefill = _attention(folder, "context")
    prefill = prefill[prefill.batch_size * prefill.isl <= MAX_TOKENS]
    return Kernels(
        tokens=sizes,
        layers_ps=layer * MODEL.layers + _elementwise_ps(sizes),
        rows=sizes[rows],
        head_ps=_gemm_ps(gemm, MODEL.hidden, 65536)[rows] * MODEL.vocab / 65536,
        batch=decode.batch_size.to_numpy(float),
        context=decode.kv.to_numpy(float),
        decode_ps=decode.latency.to_numpy(float) * 1e9 * MODEL.layers,
        prompts=prefill.batch_size.to_numpy(float),
        length=prefill.isl.to_numpy(float),
        prefill_ps=prefill.latency.to_numpy(float) * 1e9 * MODEL.layers,
    )


def _gemm_ps(gemm: pd.DataFrame, k: int, n: int) -> np.ndarray:
    """Time by m, bilinear in n and k between the measured sizes."""
    total = 0.0
    for own_k, k_share in _between(gemm.k.unique(), k):
        for own_n, n_share in _between(gemm.n.unique(), n):
            rows = gemm[(gemm.k == own_k) & (gemm.n == own_n)].sort_values("m")
            total = total + rows.latency.to_numpy(float) * 1e9 * k_share * n_share
    return total


def _between(sizes: np.ndarray, size: int) -> list[tuple[int, float]]:
    if size in sizes:
        return [(size, 1.0)]
    low, high = sizes[sizes < size].max(), sizes[sizes > size].min()
    share = (size - low) / (high - low)
    return [(low, 1 - share), (high, share)]


def _attention(folder: Path, phase: str) -> pd.DataFrame:
    table = pd.read_parquet(
        folder / f"attention/vllm/0.24.0/{phase}_attention_perf.parquet"
    )
    own = (
        (table.num_heads == MODEL.heads)
        & (table.num_key_value_heads == MODEL.kv_heads)
        & (table.head_dim == MODEL.head_dim)
        & (table.kv_cache_dtype == "bfloat16")
        & (table.window_size == 0)
    )
    return table[own].assign(kv=table.isl + table.step)


def _elementwise_ps(tokens: np.ndarray) -> np.ndarray:
    kv = MODEL.kv_heads * MODEL.head_dim
    elements = 8 * MODEL.hidden + 2 * (MODEL.hidden + kv) + 4 * kv + 3 * MODEL.ffn
    moved_s = (
        tokens
        * elements
        * MODEL.weight_bytes
        / (GPU.bytes_per_s * ELEMENTWISE_BANDWIDTH)
    )
    return MODEL.layers * (ELEMENTWISE_KERNELS * ELEMENTWISE_START_S + moved_s) * 1e12


def _kv_blocks() -> int:
    kv_bytes = MEASURED_BLOCKS * BLOCK_TOKENS * MEASURED_TOKEN_BYTES
    kv_bytes += (MEASURED_WEIGHTS - OWN_WEIGHTS) * MODEL.weight_bytes
    return kv_bytes // (BLOCK_TOKENS * MODEL.kv_token_bytes)


def errors(kernels: Kernels) -> dict:
    """Errors of a fit that saw none of the held-out sizes, by regime."""
    kept = Kept(
        tokens=_outside(HELD_TOKENS),
        batch=_outside(HELD_BATCH),
        context=_outside(HELD_CONTEXT),
        length=_outside(HELD_LENGTH),
    )
    step = step_time(fit(kernels, kept))
    regimes = {
        "decode, batch 1-8": _decode(kernels, step, 1, 8),
        "decode, batch 16-512": _decode(kernels, step, 16, 512),
        "prefill": _prefill(kernels, step),
        "prefill chunk with decodes": _mixed(kernels, step),
    }
    return {
        "regimes": {k: list(relative(own, true)) for k, (own, true) in regimes.items()},
        "reference": "sums of the same tables' kernels at token counts, batches, "
        "contexts and prompt lengths that the fit did not see (mean, worst); not a "
        "measured engine step",
    }


def step_time(tables: dict) -> StepTime:
    """The step time of fitted knots."""
    made = {
        k: expanded(v, k) if k in {"tokens_ps", "decodes_ps"} else v
        for k, v in tables.items()
    }
    made["context_knots"] = tuple(tables["context_knots"])
    made["context_ps"] = tuple(expanded(t, "context_ps") for t in tables["context_ps"])
    return StepTime(**made)


def _outside(held: set[int]):
    return lambda sizes: ~np.isin(sizes, list(held))


def _decode(kernels: Kernels, step: StepTime, low: int, high: int) -> tuple:
    rows = np.isin(kernels.batch, list(HELD_BATCH)) | np.isin(
        kernels.context, list(HELD_CONTEXT)
    )
    rows &= (kernels.batch >= low) & (kernels.batch <= high) & (kernels.context >= 64)
    n, context = kernels.batch[rows], kernels.context[rows]
    own = [_duration(step, 0, 0, b, c) for b, c in zip(n, context, strict=True)]
    return np.array(own), kernels.linear_ps(n, n) + kernels.decode_ps[rows]


def _prefill(kernels: Kernels, step: StepTime) -> tuple:
    tokens = kernels.prompts * kernels.length
    rows = np.isin(kernels.length, list(HELD_LENGTH)) & (tokens >= 64)
    own = [
        _duration(step, t, w)
        for t, w in zip(tokens[rows], (tokens * kernels.length)[rows], strict=True)
    ]
    return np.array(own), kernels.linear_ps(tokens, kernels.prompts)[
        rows
    ] + kernels.prefill_ps[rows]


def _mixed(kernels: Kernels, step: StepTime) -> tuple:
    own, true = [], []
    chunks = (
        (kernels.prompts == 1)
        & np.isin(kernels.length, list(HELD_LENGTH))
        & (kernels.length >= 128)
    )
    decodes = np.isin(kernels.batch, list(HELD_BATCH)) & np.isin(
        kernels.context, list(HELD_CONTEXT)
    )
    for k, chunk_ps in zip(
        kernels.length[chunks], kernels.prefill_ps[chunks], strict=True
    ):
        for n, c, decode_ps in zip(
            kernels.batch[decodes],
            kernels.context[decodes],
            kernels.decode_ps[decodes],
            strict=True,
        ):
            own.append(_duration(step, k, k * k, n, c))
            true.append(float(kernels.linear_ps(k + n, n)) + chunk_ps + decode_ps)
    return np.array(own), np.array(true)


def _duration(
    step: StepTime, tokens: float, work: float, n: float = 0, context: float = 0
) -> int:
    return step.duration_ps(
        Batch(int(tokens), int(work), int(n), int(n * context), int(context))
    )


if __name__ == "__main__":
    text = calibration(Path(sys.argv[1]))
    Path(f"evaluators/calibration/data/{NAME}.json").write_text(text)
