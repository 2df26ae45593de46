"""The main job on recorded traffic, paced to what the engine's own rules sustain."""

import json
import os

import pytest

from adrs.exams import scenarios, sitting
from adrs.settings import Arguments, settings
from evaluators.workloads.trace import PS_PER_S
from tests.acceptance.command import ENVIRONMENT, SMALL, evolve, records

DATA = os.environ.get("ADRS_DATA")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="ADRS_DATA names no folder of recorded traces"),
]
TYPED = (*SMALL, "workload=azure_llm_2023_conv", "problem.regimes=[0.5,1.0]")


def test_it_evolves_on_the_azure_conversations_at_the_capacity_of_the_reference(
    tmp_path,
):
    environment = {**ENVIRONMENT, "ADRS_DATA": str(DATA)}
    typed = (*TYPED, "budget.evaluations=8", "run=a")
    done = evolve(*typed, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "gain over the best seed" in done.stdout
    found = records(tmp_path / "runs/a/journal.jsonl")
    named = {
        (outcome["scenario"].split("/")[0], outcome["regime"])
        for record in found
        if record["record"] == "trial"
        for outcome in record["outcomes"]
    }
    assert named == {("azure_llm_2023_conv", 0.5), ("azure_llm_2023_conv", 1.0)}
    (stored,) = json.loads((tmp_path / "runs/capacities.json").read_text()).values()
    assert stored["workload"] == "azure_llm_2023_conv"
    described = settings("evolve", Arguments((), (*TYPED, f"data={DATA}")))
    at = sitting(described, tmp_path / "runs/capacities.json")
    assert at.capacity_per_s == stored["capacity_per_s"]
    for scenario in scenarios(at, "train"):
        arrived_s = scenario.trace.arrived_ps / PS_PER_S
        rate_per_s = (len(arrived_s) - 1) / (arrived_s[-1] - arrived_s[0])
        assert rate_per_s == pytest.approx(
            scenario.regime * at.capacity_per_s, rel=0.05
        )
