"""KV blocks: what engines had on a GPU, and what others should have by that."""

from typing import NamedTuple

from evaluators.calibration.calibration_file import BLOCK_TOKENS
from evaluators.calibration.shapes import GPUS, MODELS, GpuSheet, ModelShape

MEMORY_SHARE = 0.9  # vLLM's default gpu_memory_utilization

BLIS = "inference-sim/training, kv_blocks_total_gpu of its vLLM runs on H100 80 GB"
BENCH = "LLMServingSim bench/examples, num_gpu_blocks in meta.json, vLLM 0.19.0"


class KvMemory(NamedTuple):
    """Blocks of 16 tokens, and who counted them or how they follow."""

    blocks: int
    source: str


# By (model, GPU, tp), weights of 16 bits.
MEASURED = {
    ("llama-2-7b", "h100-sxm-80g", 1): KvMemory(7462, f"measured: {BLIS}"),
    ("llama-2-70b", "h100-sxm-80g", 4): KvMemory(31356, f"measured: {BLIS}"),
    ("llama-3.1-8b", "rtx-4090-24g", 1): KvMemory(2588, f"measured: {BENCH}"),
}

REFERENCE = {
    False: ("llama-2-7b", "h100-sxm-80g", 1),
    True: ("llama-2-70b", "h100-sxm-80g", 4),
}
"""Whose overhead stands for that of others, by whether there are several ranks."""


def kv_memory(model: ModelShape, gpu: GpuSheet, tp: int, weight_bytes: int) -> KvMemory:
    """KV blocks of an engine that serves the model on ``tp`` of the GPU.

    Measured where anyone counted them; else 0.9 of the memory less the weights and less
    what a measured engine used beside both. Raises ``ValueError`` when nothing is left.
    """
    found = MEASURED.get((model.name, gpu.name, tp))
    if found is not None and weight_bytes == model.kv_bytes == 2:
        return found
    known = REFERENCE[tp > 1]
    over = overhead_bytes(*known)
    free = tp * (MEMORY_SHARE * gpu.memory_bytes - over)
    free -= weights_bytes(model, weight_bytes)
    blocks = int(free // (BLOCK_TOKENS * _token_bytes(model, tp)))
    if blocks < 1:
        raise ValueError(
            f"{model.name} does not fit {tp} x {gpu.name}: its weights are "
            f"{weights_bytes(model, weight_bytes) / 2**30:,.0f} GiB"
        )
    return KvMemory(
        blocks,
        f"derived: {MEMORY_SHARE} of the memory less the weights and the "
        f"{over / 2**30:.2f} GiB a GPU that {known[0]}'s measured "
        f"{MEASURED[known].blocks} blocks leave on {known[2]} x {known[1]} ({BLIS})",
    )


def overhead_bytes(model_name: str, gpu_name: str, tp: int) -> float:
    """Bytes a GPU that a measured engine used beside weights and KV blocks."""
    model, gpu = MODELS[model_name], GPUS[gpu_name]
    kv_bytes = MEASURED[model_name, gpu_name, tp].blocks * BLOCK_TOKENS
    kv_bytes *= _token_bytes(model, tp)
    return MEMORY_SHARE * gpu.memory_bytes - (kv_bytes + weights_bytes(model, 2)) / tp


def weights_bytes(model: ModelShape, weight_bytes: int) -> int:
    """Bytes of all weights; both embeddings stay in 16 bits."""
    embeddings = 2 * model.vocab * model.hidden
    return (model.parameters - embeddings) * weight_bytes + 2 * embeddings


def _token_bytes(model: ModelShape, tp: int) -> int:
    """Of one token over all ranks; what is not parted is kept by each."""
    if model.latent is not None:
        return model.kv_token_bytes * tp
    return model.kv_token_bytes * max(1, tp // model.kv_heads)
