"""A measured run served by the simulator, and what its stages took there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluators.calibration.calibration import Calibration
from evaluators.calibration.shapes import GPUS, MODELS
from evaluators.calibration.step_time import StepTime
from evaluators.fleet import Fleet, Member
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.serving_runs.measured import MeasuredRun, Stage, summarised
from evaluators.serving_runs.sampling import with_sampling
from evaluators.serving_runs.terms import Shares, shares
from evaluators.sim.cluster.serving import serve_fleet
from evaluators.sim.engine import simulate
from evaluators.sim.run import Run
from evaluators.workloads.trace import PS_PER_S

ANY = ServiceClass("any", 1.0, 1.0, 1.0, "none: nothing is scored")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a stage took in the simulator.

    ``latencies`` are seconds by names of ``METRICS``, without host time; ``running`` is
    the mean number of requests in the engine; ``shares`` are parts of the time of a
    token by terms of the step time.
    """

    latencies: Mapping[str, float]
    running: float
    shares: Shares


class Window(NamedTuple):
    """Rows of a stage that count, and when they came, picoseconds."""

    rows: np.ndarray
    from_ps: int
    to_ps: int


def replayed(run: MeasuredRun, calibration: Calibration) -> tuple[Predicted, ...]:
    """What each stage of a run took in the simulator, in order.

    Raises ``ValueError`` where the engine is not simulated as the run needs it, or for
    longer than the clock of int64 picoseconds counts.
    """
    scenario = scenario_of(run, calibration)
    serve = serve_fleet if scenario.fleet else simulate
    try:
        served = serve(scenario, None)
    except OverflowError:
        raise ValueError(
            f"{run.name}: its requests take longer than the 106 days that the "
            "simulator's clock counts; expected fewer or shorter ones"
        ) from None
    return tuple(predicted(scenario, served, stage) for stage in run.stages)


def scenario_of(run: MeasuredRun, calibration: Calibration) -> Scenario:
    """The exam that a run sat: its trace on an engine with its limits."""
    where, step = deployment(run, calibration), step_time(run, calibration)
    fleet = None
    if run.engines > 1:
        members = (Member(where, step),) * run.engines
        fleet = Fleet(members, rule="least_outstanding")
    return Scenario(
        name=run.name,
        split="validation",
        regime=1.0,
        trace=run.trace,
        deployment=where,
        step_time=step,
        classes=(ANY,),
        calibration=f"{calibration.name} ({calibration.status})",
        fleet=fleet,
    )


def step_time(run: MeasuredRun, calibration: Calibration) -> StepTime:
    """The calibration's, with what the sampling that the requests asked for adds."""
    return with_sampling(
        calibration.step_time,
        run.sampling,
        MODELS[calibration.model].vocab,
        GPUS[calibration.gpu],
    )


def deployment(run: MeasuredRun, calibration: Calibration) -> Deployment:
    """The engine of a run; KV blocks are the calibration's where none were recorded.

    An engine of several is simulated without asynchronous scheduling.
    """
    limits = run.limits
    tokens = calibration.kv_blocks * calibration.block_tokens
    return Deployment(
        name=run.name,
        kv_blocks=limits.kv_blocks or tokens // limits.block_tokens,
        block_tokens=limits.block_tokens,
        max_running=limits.max_running,
        max_step_tokens=limits.max_step_tokens,
        prefix_caching=limits.prefix_caching and run.trace.prefixes is not None,
        async_scheduling=limits.is_asynchronous and run.engines == 1,
    )


def predicted(scenario: Scenario, served: Run, stage: Stage) -> Predicted:
    """What one stage took: of the requests that count in the measured statistics."""
    window = counted(served, stage)
    rows, outputs = window.rows, scenario.trace.output_tokens
    if not rows.size:
        raise ValueError(f"{scenario.name}: no request of {stage.name} was served")
    arrived, first, last = (
        column[rows] / PS_PER_S
        for column in (served.arrived_ps, served.first_token_ps, served.finished_ps)
    )
    found = summarised(first - arrived, "ttft") | summarised(last - arrived, "e2e")
    several = outputs[rows] > 1
    if several.any():
        later = (last - first)[several] / (outputs[rows][several] - 1)
        found |= summarised(later, "tpot")
    span_s = max(float(last.max()) - window.from_ps / PS_PER_S, 1e-12)
    admitted = served.admitted_ps[rows] / PS_PER_S
    return Predicted(
        latencies=found,
        running=float((last - admitted).sum()) / span_s,
        shares=shares(served.steps, scenario.step_time, window.from_ps, window.to_ps),
    )


def counted(served: Run, stage: Stage) -> Window:
    """Served rows of a stage that came after its cut, and the time in which they did.

    A stage that follows itself (a closed loop) ends with its last request.
    """
    rows = np.arange(stage.first, stage.last)
    arrived = served.arrived_ps[rows]
    since = int(arrived[arrived >= 0].min(initial=1 << 62))
    since += round(stage.cut_s * PS_PER_S)
    kept = rows[(arrived >= since) & (served.finished_ps[rows] >= 0)]
    if not kept.size:
        return Window(kept, since, since)
    return Window(kept, since, int(served.arrived_ps[kept].max()))
