"""What choosing tokens costs beyond taking the largest logit: by bytes moved.

Requests that name no sampling parameters get those of the model's
``generation_config.json`` from vLLM (its default since 0.8). With a nucleus
(``top_p``), vLLM's PyTorch sampler sorts the logits of the whole vocabulary. Nobody
here has measured that: the bytes below are counted from its operations
(``vllm/v1/sample/ops/topk_topp_sampler.py``; the sort is
``segmented_sort_pairs_by_full_sort`` of PyTorch's ``SortStable.cu``), and move at the
share of the bandwidth that the calibrations give to element-wise kernels.
"""

import re
from dataclasses import replace
from typing import Literal, NamedTuple

from evaluators.calibration.op_tables import (
    ELEMENTWISE_BANDWIDTH,
    ELEMENTWISE_START_S,
)
from evaluators.calibration.shapes import GpuSheet
from evaluators.calibration.step_time import StepTime, entry
from evaluators.workloads.trace import PS_PER_S

Sampling = Literal["greedy", "drawn", "nucleus"]


class Cost(NamedTuple):
    """Bytes moved for one logit, and kernels launched, beyond greedy."""

    logit_bytes: int
    kernels: int


SORT = 8 + (4 + 4 * 24) + 24 + 24
"""Write indices; sort pairs of 4 and 8 bytes in four passes behind a histogram; sort
by row in one pass; gather values and indices."""

DRAWN = 8 + 16 + 4 + 12
"""Divide by the temperature; softmax (three reads); exponential draws; divide."""

COSTS: dict[Sampling, Cost] = {
    "greedy": Cost(0, 0),
    "drawn": Cost(DRAWN, 4),
    "nucleus": Cost(DRAWN + SORT + 16 + 8 + 5 + 9 + 16, 21),
}
"""The nucleus: sort, softmax, running sum, comparison, fill, scatter."""

NUCLEUS = re.compile(r"^(llama-[23]|qwen[23])")
"""Models whose ``generation_config.json`` has a ``top_p`` below 1 (Llama 2: 0.9,
Llama 3.1: 0.9, Qwen 2.5: 0.8, Qwen 3: 0.95)."""


def default_sampling(model: str) -> Sampling:
    """How vLLM chooses tokens of a model for requests that say nothing of it."""
    return "nucleus" if NUCLEUS.match(model) else "drawn"


def with_sampling(
    step_time: StepTime, sampling: Sampling, vocab: int, gpu: GpuSheet
) -> StepTime:
    """A step time of greedy sampling, with what this sampling takes longer.

    A step without decodes pays for one row of logits.
    """
    cost = COSTS[sampling]
    if not cost.kernels:
        return step_time
    bandwidth = gpu.bytes_per_s * ELEMENTWISE_BANDWIDTH
    row_ps = round(vocab * cost.logit_bytes / bandwidth * PS_PER_S)
    start_ps = round(cost.kernels * ELEMENTWISE_START_S * PS_PER_S)
    table = step_time.decodes_ps
    slower = tuple(
        entry(table, n) + start_ps + row_ps * max(n, 1)
        for n in range(max(len(table), 2))
    )
    return replace(step_time, decodes_ps=slower)
