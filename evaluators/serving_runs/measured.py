"""A measured run: what a real engine was sent, its limits, and what it then took."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from evaluators.serving_runs.sampling import Sampling
from evaluators.workloads.prefixes import Ints, Prefixes, Sessions
from evaluators.workloads.trace import PS_PER_S, Trace

Part = Literal["fit", "test"]

STATISTICS = ("mean", "p50", "p90", "p99")
LATENCIES = ("ttft", "tpot", "e2e")
METRICS = tuple(f"{name}_{how}" for name in LATENCIES for how in STATISTICS)
"""What a stage may have measured, in seconds: time to the first token, mean time of
each further token of a request, and end to end; over the requests of the stage."""

KNEE = 0.75
"""Share of the slots in use in the mean above which 2 % of step time are 30 % of the
mean time to the first token: waiting there says more of luck than of a model."""

FAILED = 0.01
"""Share of failed requests above which a run was overloaded."""


class Limits(NamedTuple):
    """What the engine allowed itself; ``kv_blocks`` is None where nobody wrote it down.

    ``is_asynchronous``: it schedules a step while the one before runs.
    """

    max_running: int
    max_step_tokens: int
    kv_blocks: int | None
    block_tokens: int
    prefix_caching: bool
    is_asynchronous: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """Rows ``first`` to ``last`` (exclusive) of a run's trace, and what they took.

    ``measured`` maps names of ``METRICS`` to seconds. Rows that arrive within
    ``cut_s`` of the stage's first are in none of its statistics; ``holds_warm_up``
    says that the measured ones could not be cut so, and hold the engine's first minute.
    ``running`` is the mean number of requests in the engine, as measured. ``failed`` is
    the share of requests that failed.
    """

    name: str
    first: int
    last: int
    measured: Mapping[str, float]
    load: float
    running: float
    cut_s: float = 0.0
    holds_warm_up: bool = False
    failed: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredRun:
    """One engine serving one workload, by stages of equal load.

    ``model`` and ``gpu`` are names as ``model_key`` and ``gpu_key`` make them;
    ``bits`` are those of a weight, ``kv_bits`` of a cached number. ``workload`` names
    what was sent: runs of equal workload differ in knobs only. ``concurrency`` is the
    number of requests kept in flight, None where arrivals were open. ``knobs`` are
    settings beyond the limits, ``sampling`` is how the requests chose their tokens.
    Data parallel ``engines`` share the arrivals. ``part`` says whether the host
    constant may be fitted on the run, or is tested on it.
    """

    name: str
    source: str
    model: str
    gpu: str
    tp: int
    bits: int
    kv_bits: int
    engine: str
    limits: Limits
    workload: str
    trace: Trace
    stages: tuple[Stage, ...]
    concurrency: int | None = None
    part: Part = "test"
    knobs: Mapping[str, str] = field(default_factory=dict)
    sampling: Sampling = "greedy"
    engines: int = 1
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A measured run that cannot be replayed, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds: runs, and those that cannot be replayed."""

    runs: tuple[MeasuredRun, ...]
    left_out: tuple[LeftOut, ...] = ()


def is_knee(run: MeasuredRun, stage: Stage) -> bool:
    """Whether an open loop left so few slots free that waiting decides its latency."""
    if run.concurrency is not None:
        return False
    return stage.running > KNEE * run.limits.max_running * run.engines


def is_saturated(run: MeasuredRun, stage: Stage) -> bool:
    """Whether more came than the engine could serve: no claim of latency holds."""
    if run.concurrency is not None:
        return run.concurrency > run.limits.max_running
    slots = run.limits.max_running * run.engines
    return stage.failed > FAILED or stage.running > slots


def summarised(values: np.ndarray, name: str) -> dict[str, float]:
    """Mean, median, P90 and P99 of seconds, under the names of ``METRICS``.

    Quantiles are interpolated, as load generators do.
    """
    p50, p90, p99 = np.quantile(values, (0.5, 0.9, 0.99)).tolist()
    found = (float(values.mean()), p50, p90, p99)
    return {f"{name}_{how}": s for how, s in zip(STATISTICS, found, strict=True)}


def trace_of(
    arrived_s: np.ndarray,
    prompt_tokens: np.ndarray,
    output_tokens: np.ndarray,
    prefixes: Prefixes | None = None,
    sessions: Sessions | None = None,
) -> Trace:
    """The trace of what was sent; tenants, classes and predictions are of no use here.

    ``arrived_s`` must not fall; the first arrival becomes time 0.
    """
    since_ps = np.rint((arrived_s - arrived_s[0]) * PS_PER_S).astype(np.int64)
    none: Ints = np.zeros(len(arrived_s), dtype=np.int64)
    return Trace(
        arrived_ps=since_ps,
        prompt_tokens=np.asarray(prompt_tokens, dtype=np.int64),
        output_tokens=np.asarray(output_tokens, dtype=np.int64),
        predicted_tokens=np.asarray(output_tokens, dtype=np.int64),
        tenant=none,
        slo_class=none,
        prefixes=prefixes,
        sessions=sessions,
    )


_ENDINGS = re.compile(
    r"[-_.](hf|instruct|chat|base|fp8|fp16|bf16|nvfp4|dynamic|v\d[.\d]*|it|2507)$"
)


SAME_SIZES = {
    "llama-3-8b": "llama-3.1-8b",
    "llama-3-70b": "llama-3.1-70b",
    "llama-3.3-70b": "llama-3.1-70b",
}
"""Models whose every size is that of another."""


def model_key(path: str) -> str:
    """A model's name without its publisher and variant, which change no size.

    As in ``meta-llama/Llama-3.1-8B-Instruct``: llama-3.1-8b.
    """
    name = path.rsplit("/", 1)[-1].lower().removeprefix("meta-")
    while (shorter := _ENDINGS.sub("", name)) != name:
        name = shorter
    name = re.sub(r"^llama-?3[-.]([123])", r"llama-3.\1", name)
    return SAME_SIZES.get(name, name)


KNOWN_GPUS = (
    *("gh200", "gb200", "gb300", "h100", "h200", "a100", "b200", "b300", "l40s"),
    *("rtxpro6000", "rtx4090", "a30", "a40"),
)
"""Names as ``gpu_key`` makes them; the longer ones come before those they hold."""


def gpu_key(name: str) -> str:
    """A GPU's short name, as in ``H100 SXM``, ``h100_sxm`` or ``h100-sxm-80g``: h100.

    What is not known keeps its own name, in small letters and hyphens.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    joined = plain.replace("-", "")
    return next((key for key in KNOWN_GPUS if key in joined), plain)
