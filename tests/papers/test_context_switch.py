"""R23, its form of context switching: KV moved to host memory and back.

Paper: Y. Fu, "Challenges in Deploying Long-Context Transformers: A Theoretical Peak
Performance Analysis", arXiv 2405.08944 (2024), section 2.
Set-up: Yi-34B of 16 bits on one A100 80 GB, behind a link of 20 GB/s (ASSUMED, as in
the paper); whoever runs yields to customers of a higher level who come later.
Closed form: switching = users * KV cache of a request / bandwidth, each way.
Held to within 10 % for one request of 50K tokens, and for as many of 4K as fit.
"""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.calibration.roofline import roofline
from evaluators.calibration.shapes import GPUS, MODELS
from evaluators.host_memory import HostMemory
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.workloads.prefixes import Priorities
from evaluators.workloads.trace import PS_PER_S
from tests.problems.builders import policy, trace_of

MODEL, GPU = MODELS["yi-34b"], GPUS["a100-sxm-80g"]
BLOCK_BYTES = 16 * MODEL.kv_token_bytes
FREE_BYTES = GPU.memory_bytes - 2 * 34e9
LINK_BYTES_PER_S = 20 * 10**9
LINK = affine(
    "pcie 4.0",
    "the paper's bandwidth, and 1 us a copy",
    launch_ps=10**6,
    bytes_per_s=LINK_BYTES_PER_S,
    status="assumed",
)
NO_LIMIT = ServiceClass("any", 1e9, 1e9, 1e9, "the paper has no objectives")


def stalls_s(prompt, users, prefill_s):
    """Time that steps waited for copies when so many users yield to as many."""
    arrived_s = np.repeat([0.0, 2 * users * prefill_s], users)
    trace = trace_of(arrived_s, prompt, 400, tenant=np.repeat([0, 1], users))
    trace = replace(trace, priorities=Priorities(PS_PER_S, np.array([[0, 1]])))
    host = HostMemory(100_000, BLOCK_BYTES, LINK, 2 * MODEL.layers, group_blocks=256)
    deployment = Deployment(
        "a100", int(FREE_BYTES // BLOCK_BYTES), max_running=64, host_memory=host
    )
    scenario = Scenario(
        name="R23",
        split="train",
        regime=1.0,
        trace=trace,
        deployment=deployment,
        step_time=roofline(MODEL, GPU),
        classes=(NO_LIMIT,),
        calibration="assumed roofline",
    )
    run = simulate(scenario, policy("fastswitch"))
    check(scenario, run)
    return run.preemptions[:users], run.copies.stall_ps.sum() / PS_PER_S


@pytest.mark.parametrize(("prompt", "prefill_s"), [(50_000, 18.0), (4_000, 0.9)])
def test_switching_takes_the_time_of_the_closed_form(prompt, prefill_s):
    users = int(FREE_BYTES / ((prompt + 400) * MODEL.kv_token_bytes))
    preempted, stalled_s = stalls_s(prompt, users, prefill_s)
    switched = preempted.sum()
    assert switched >= users - 1
    kv_s = prompt * MODEL.kv_token_bytes / LINK_BYTES_PER_S
    assert stalled_s == pytest.approx(2 * switched * kv_s, rel=0.1)
