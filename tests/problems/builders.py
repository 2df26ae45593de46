"""Seeds as policies, and small scenarios of the default workload to run them on."""

from pathlib import Path

import numpy as np

from evaluators.calibration.calibration import load
from evaluators.load import load_policy
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.hooks import HOOKS
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.synthetic import build
from evaluators.workloads.trace import PS_PER_S, Trace

SEEDS = Path(__file__).parents[2] / "seeds"
CALIBRATION = load("llama31_8b_h100")


def names() -> list[str]:
    return sorted(path.stem for path in (SEEDS / "scheduling").glob("*.py"))


def source(name: str) -> str:
    return (SEEDS / "scheduling" / f"{name}.py").read_text()


def policy(name: str) -> object:
    return load_policy(source(name), HOOKS)


def synthetic(rate_per_s, *, n=150, seed=0, kv_blocks=28_616, **deployment) -> Scenario:
    """The default workload on the default engine at any load."""
    workload = build()
    trace = workload.draw("train", seed, rate_per_s, n)
    return on_h100(trace, kv_blocks, f"{rate_per_s}/s seed {seed}", **deployment)


def on_h100(trace: Trace, kv_blocks=28_616, name="made up", **deployment) -> Scenario:
    return Scenario(
        name=name,
        split="train",
        regime=1.0,
        trace=trace,
        deployment=Deployment("h100", kv_blocks, **deployment),
        step_time=CALIBRATION.step_time,
        classes=CLASSES,
        calibration=CALIBRATION.name,
        prediction_error=0.3,
    )


def trace_of(arrived_s, prompt, output, tenant=0, slo_class=0) -> Trace:
    """A trace of columns or constants, predicted exactly."""
    arrived_ps = np.round(np.asarray(arrived_s) * PS_PER_S)
    columns = (prompt, output, output, tenant, slo_class)
    return Trace(arrived_ps, *(np.broadcast_to(c, arrived_ps.shape) for c in columns))
