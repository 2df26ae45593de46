"""vLLM's scheduler for one of our deployments, with no model behind it."""

import json
from pathlib import Path
from typing import Any

import torch
from vllm.config import (
    CacheConfig,
    DeviceConfig,
    ModelConfig,
    SchedulerConfig,
    VllmConfig,
)
from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.kv_cache_interface import (
    FullAttentionSpec,
    KVCacheConfig,
    KVCacheGroupSpec,
)
from vllm.v1.structured_output import StructuredOutputManager

from evaluators.scenario import Deployment
from tests.differential.vllm_side.policy_scheduler import (
    AsyncPolicyScheduler,
    Obedient,
    PolicyScheduler,
)

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
    "max_position_embeddings": 1 << 20,
    "torch_dtype": "float32",
}
"""A model that is never loaded: vLLM wants to read its shape."""


def write_model(folder: Path) -> None:
    """Make ``folder`` a model directory with a configuration and nothing else."""
    (folder / "config.json").write_text(json.dumps(MODEL), encoding="utf-8")


def build(model: Path, deployment: Deployment, longest_tokens: int) -> Obedient:
    """A scheduler with vLLM's defaults where the deployment says nothing.

    ``longest_tokens`` is the longest prompt and output together.
    """
    config = _config(model, deployment, longest_tokens)
    memory = pool_of(deployment)
    config.cache_config.num_gpu_blocks = memory.num_blocks
    kind = AsyncPolicyScheduler if deployment.async_scheduling else PolicyScheduler
    return kind(
        vllm_config=config,
        kv_cache_config=memory,
        structured_output_manager=StructuredOutputManager(config),
        block_size=deployment.block_tokens,
        log_stats=False,
    )


def pool_of(deployment: Deployment) -> KVCacheConfig:
    """KV memory of one layer, in the blocks of the deployment."""
    spec = FullAttentionSpec(
        block_size=deployment.block_tokens,
        num_kv_heads=1,
        head_size=1,
        dtype=torch.float32,
    )
    # Block 0 of vLLM's pool is a placeholder that no request ever holds.
    return KVCacheConfig(
        num_blocks=deployment.kv_blocks + 1,
        kv_cache_tensors=[],
        kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
    )


def hasher_of(deployment: Deployment) -> Any:
    """What makes a request of vLLM know the contents of its blocks."""
    hash_function = get_hash_fn_by_name("sha256")
    init_none_hash(hash_function)
    return get_request_block_hasher(deployment.block_tokens, hash_function)


def _config(model: Path, deployment: Deployment, longest_tokens: int) -> VllmConfig:
    most = longest_tokens + 1
    return VllmConfig(
        model_config=ModelConfig(
            model=str(model), skip_tokenizer_init=True, max_model_len=most, seed=0
        ),
        cache_config=CacheConfig(
            block_size=deployment.block_tokens,
            enable_prefix_caching=deployment.prefix_caching,
        ),
        scheduler_config=SchedulerConfig(
            max_num_seqs=deployment.max_running,
            max_num_batched_tokens=deployment.max_step_tokens,
            max_model_len=most,
            is_encoder_decoder=False,
            enable_chunked_prefill=True,
            scheduler_reserve_full_isl=deployment.reserve_full_prompt,
            async_scheduling=deployment.async_scheduling,
        ),
        device_config=DeviceConfig("cpu"),
    )
