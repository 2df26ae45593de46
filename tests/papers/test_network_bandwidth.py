"""R7: with separate phases, the network decides where the two may stand.

Paper: Y. Zhong et al., "DistServe: Disaggregating Prefill and Decoding for
Goodput-optimized Large Language Model Serving", OSDI 2024, placement by bandwidth.
Set-up: prompts of 2,048 tokens of OPT-66B at TP4 (2.36 MB of KV a token, coefficients
as published) and of Llama-3.1-70B at TP4 on H100 (0.33 MB, composed of kernel tables);
one prefill and one decode instance, joined within a node (NVLink, measured by APEX),
between nodes (measured by Vidur) or by 25 Gb/s Ethernet (assumed). A request is served
alone, so that nothing queues; then eight in turn share each network.
Published: KV must not leave a node where the network is slow. Band: moving KV takes
less than 5 % of the time until the answer can go on (prompt and transfer) within a
node, and more than 20 % over 25 Gb/s. Here 3.4 and 82 %, and 1.4 and 64 %.
"""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.calibration.copy_curve import load_curve
from evaluators.calibration.shapes import MODELS
from evaluators.fleet import Fleet, Member
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from tests.papers.routers import ANY
from tests.problems.builders import trace_of

NAMES = ("opt66b_tp4_a100_distserve", "llama31_70b_tp4_h100")
PROMPT = 2048


def served(name, link, n=1, output=2, apart_s=1.0):
    calibration = load(name)
    engine = Deployment("one", calibration.kv_blocks, max_step_tokens=PROMPT)
    members = tuple(
        Member(engine, calibration.step_time, role) for role in ("prefill", "decode")
    )
    kv_bytes = MODELS[calibration.model].kv_token_bytes
    exam = Scenario(
        name="network",
        split="train",
        regime=1.0,
        trace=trace_of(np.arange(n) * apart_s, PROMPT, output),
        deployment=engine,
        step_time=calibration.step_time,
        classes=(ANY,),
        calibration=calibration.name,
        fleet=Fleet(members, wire=load_curve(link), kv_bytes=kv_bytes),
    )
    return simulate_fleet(exam, None, fast)


def transfer_share(name, link):
    """Of the time until the answer can go on, what the KV of the prompt travels."""
    run = served(name, link)
    here = served(name, link, output=3)
    step_ps = (here.finished_ps - run.finished_ps)[0]
    prompt_ps = (run.first_token_ps - run.arrived_ps)[0]
    transfer_ps = (run.finished_ps - run.first_token_ps)[0] - step_ps
    return transfer_ps / (prompt_ps + transfer_ps)


@pytest.mark.parametrize("name", NAMES)
def test_r7_moving_kv_hardly_shows_within_a_node(name):
    assert 0 < transfer_share(name, "nvlink_h100") < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_r7_moving_kv_dominates_over_a_weak_network(name):
    assert transfer_share(name, "ethernet_25g") > 0.2


@pytest.mark.parametrize("name", NAMES)
def test_r7_instances_of_one_node_beat_those_of_two(name):
    spent = [
        (run.finished_ps - run.arrived_ps).mean()
        for run in (served(name, link, n=8) for link in ("nvlink_h100", "nodes_h100"))
    ]
    assert spent[0] < spent[1]
