"""A tiny Llama in the real vLLM engine, serving traces by the clock under a policy."""

import json
from pathlib import Path

from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.core import EngineCore
from vllm.v1.executor import Executor
from vllm.v1.request import Request

from evaluators.load import load_policy
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.hooks import HOOKS, Policy
from evaluators.workloads.trace import PS_PER_S
from tests.differential.vllm_side.adviser import Adviser, Time
from tests.differential.vllm_side.block_policy import BlockPolicy
from tests.vllm_cpu.engine_side.clock import CLOCKS
from tests.vllm_cpu.engine_side.timed_scheduler import Note, TimedScheduler

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "vocab_size": 1024,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}
"""On a core of 2024 a step takes 6 to 130 ms, of which the engine's own is about 2."""

TOKEN = 5
"""Every token of every prompt: what a random model says of it does not matter."""


def engine(folder: Path, deployment: Deployment) -> EngineCore:
    """vLLM's engine with random weights, in this process and on one thread."""
    (folder / "config.json").write_text(json.dumps(MODEL), encoding="utf-8")
    config = EngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        load_format="dummy",
        dtype="bfloat16",
        enforce_eager=True,
        max_model_len=MODEL["max_position_embeddings"],
        max_num_seqs=deployment.max_running,
        max_num_batched_tokens=deployment.max_step_tokens,
        block_size=deployment.block_tokens,
        # Block 0 of vLLM's pool is a placeholder that no request ever holds.
        num_gpu_blocks_override=deployment.kv_blocks + 1,
        enable_prefix_caching=deployment.prefix_caching,
        scheduler_reserve_full_isl=deployment.reserve_full_prompt,
        distributed_executor_backend="uni",
        scheduler_cls=TimedScheduler,
        seed=0,
    ).create_engine_config()
    return EngineCore(config, Executor.get_class(config), log_stats=False)


class Live:
    """One trace on one engine that has nothing else to do."""

    def __init__(self, core: EngineCore, scenario: Scenario, policy: str) -> None:
        if scenario.trace.sessions is not None or scenario.deployment.prefix_caching:
            raise ValueError(
                f"scenario {scenario.name} has sessions or prefix caching; expected "
                "requests that come at times of their own and share nothing"
            )
        self._core, self._time = core, Time()
        self._scheduler: TimedScheduler = core.scheduler
        asked = Policy(load_policy(policy, HOOKS) if policy else None)
        self._adviser = Adviser(scenario, asked, self._time)
        self._blocks = BlockPolicy(
            scenario,
            self._scheduler.kv_cache_manager.block_pool,
            self._scheduler.requests,
            None,
            self._time,
        )
        trace = scenario.trace
        columns = (trace.arrived_ps, trace.prompt_tokens, trace.output_tokens)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        self._arrivals = [
            (at_ps, _request(str(row), prompt, output, at_ps))
            for row, (at_ps, prompt, output) in enumerate(rows)
        ]

    def run(self, clock_name: str) -> list[Note]:
        """Serve until nothing is left; every step that was taken."""
        scheduler, time, arrivals = self._scheduler, self._time, self._arrivals
        come, clock = 0, CLOCKS[clock_name]()
        scheduler.start(self._adviser, self._blocks, clock)
        while come < len(arrivals) or scheduler.has_unfinished_requests():
            if not scheduler.has_unfinished_requests():
                clock.wait_until(arrivals[come][0])
                time.now_ps = max(time.now_ps, arrivals[come][0])
            while come < len(arrivals) and arrivals[come][0] <= time.now_ps:
                self._core.add_request(arrivals[come][1])
                come += 1
            self._core.step()
        return scheduler.notes


def _request(name: str, prompt: int, output: int, at_ps: int) -> Request:
    limits = SamplingParams(
        max_tokens=output, ignore_eos=True, temperature=0.0, detokenize=False
    )
    return Request(
        request_id=name,
        prompt_token_ids=[TOKEN] * prompt,
        sampling_params=limits,
        pooling_params=None,
        arrival_time=at_ps / PS_PER_S,
    )
