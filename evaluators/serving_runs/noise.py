"""How far two measured runs of the same thing lie apart."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np

from evaluators.serving_runs.measured import MeasuredRun, Stage, is_saturated

IDLE_KNOBS = ("gpu_mem_util", "cpu_offload")
"""Settings that cannot matter while memory is not short."""

RECORDED = {"e2e": 0.01, "tpot": 0.01, "ttft": 0.05}
"""Of near-repeats among the public H100 runs: E2E within 1 %, mean TTFT 3 to 5 %."""
TAIL = 0.6
"""P99 of a time to the first token differs by a factor of 1.6 to 3."""

QUANTILE = 0.9


def noise(runs: Iterable[MeasuredRun]) -> Mapping[str, tuple[float, int]]:
    """By metric: what nine in ten near-repeats differ by less than, and their number.

    Relative differences; a metric with fewer than three pairs is not there.
    """
    differences: dict[str, list[float]] = {}
    for one, other in near_repeats(runs):
        for metric in one.measured.keys() & other.measured.keys():
            apart = one.measured[metric] / other.measured[metric]
            differences.setdefault(metric, []).append(abs(np.log(apart)))
    found = {}
    for metric, values in sorted(differences.items()):
        if len(values) >= 3:
            found[metric] = (float(np.quantile(values, QUANTILE)), len(values))
    return found


def floor(known: Mapping[str, tuple[float, int]], metric: str) -> float:
    """Relative difference of a metric that says nothing."""
    latency, _, how = metric.partition("_")
    recorded = TAIL if (latency, how) == ("ttft", "p99") else RECORDED[latency]
    return known.get(metric, (recorded, 0))[0]


def near_repeats(runs: Iterable[MeasuredRun]) -> list[tuple[Stage, Stage]]:
    """Pairs of stages that differ in nothing but settings that cannot matter."""
    groups: dict[object, list[Stage]] = {}
    for run in runs:
        if run.concurrency is not None:
            continue
        knobs = sorted(set(run.knobs.items()))
        rest = tuple(item for item in knobs if item[0] not in IDLE_KNOBS)
        own = run.limits._replace(kv_blocks=None)
        what = (run.model, run.gpu, run.tp, run.bits, run.workload, own, rest)
        for stage in run.stages:
            if not is_saturated(run, stage) and not stage.holds_warm_up:
                groups.setdefault((*what, stage.load), []).append(stage)
    return [pair for stages in groups.values() for pair in combinations(stages, 2)]
