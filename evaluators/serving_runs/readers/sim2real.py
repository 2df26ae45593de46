"""Statistics by stage of BLIS's other runs: vLLM on H100 and A100, eight models.

A CSV file of columns experiment, model, workload, hardware, precision, tp, dp,
stage_index, metric_name, actual (ms), source, distinct_values_for_key and others. It
names workloads only: what they are is taken from a run of the same name in the
per-request file beside it (its arrivals are a draw of the same process; prompts are as
long as Llama-2's tokeniser made them).

- Rows of ``llmservingsim`` hold the first 300 requests, where there is another row.
- Workloads called "-lite" were never written down.
- No minute was cut off: the first stage of a run holds the engine's warm-up.
- ``itl_mean`` is 3 to 5 % above the mean time of a token, and not compared; as all
  outputs are equally long, that mean follows from those of TTFT and E2E.
- How many requests may run was not written down: 128, as in the per-request runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluators.serving_runs.measured import (
    Found,
    LeftOut,
    Limits,
    MeasuredRun,
    Stage,
    gpu_key,
    model_key,
)
from evaluators.serving_runs.readers import blis
from evaluators.serving_runs.readers.files import beside, header, is_named, table
from evaluators.serving_runs.sampling import default_sampling
from evaluators.workloads.replay import data_folder
from evaluators.workloads.trace import Trace

COLUMNS = {
    "experiment",
    "model",
    "workload",
    "hardware",
    "tp",
    "stage_index",
    "metric_name",
    "actual",
    "source",
}
FEW, LITE = "llmservingsim", "-lite"
MAX_RUNNING = 128
SAME = 1e-6
"""Relative difference of a mean below which two runs are one."""

Row = Mapping[str, str]


class Workload(NamedTuple):
    """What a name stands for: a trace, its stages as rows, and its output length."""

    trace: Trace
    stages: tuple[tuple[int, int], ...]
    loads: tuple[float, ...]
    output_tokens: int


class Known(NamedTuple):
    """Workloads by name, and the mean end-to-end time of each run that sent one."""

    workloads: dict[str, Workload]
    means_s: dict[str, float]


def recognises(path: Path) -> bool:
    """Whether this is a CSV file of such columns."""
    return is_named(path, ".csv") and header(path) >= COLUMNS


def read(path: Path) -> Found:
    """The runs whose workload is known, and those that are left out."""
    by_run: dict[str, list[Row]] = {}
    for row in table(path):
        by_run.setdefault(row["experiment"], []).append(row)
    known, runs, left_out = _known(path), [], []
    for name, rows in by_run.items():
        rows.sort(key=lambda row: FEW in row["source"])
        why = _why_not(rows, known)
        if why:
            left_out.append(LeftOut(name, why))
        else:
            workload = known.workloads[rows[0]["workload"]]
            runs.append(_run(name, path.name, rows, workload))
    return Found(tuple(runs), tuple(left_out))


def _known(path: Path) -> Known:
    workloads: dict[str, Workload] = {}
    means: dict[str, float] = {}
    for file in _per_request_files(path):
        reports, told = blis.stage_reports(file), blis.experiments(file)
        for run in blis.read(file).runs:
            requests = blis.requests_of(file)[run.name]
            name = blis.profile_name(run.name, told.get(run.name, {}))
            means[run.name] = float(np.nanmean(requests.e2e_s))
            rows = blis.stage_rows(requests, reports.get(run.name))
            loads = tuple(stage.load for stage in run.stages)
            output = int(run.trace.output_tokens[0])
            if all(stage.failed == 0 for stage in run.stages) or name not in workloads:
                entry = Workload(run.trace, tuple(rows), loads, output)
                workloads.setdefault(name, entry)
    return Known(workloads, means)


def _per_request_files(path: Path) -> list[Path]:
    """Those beside the file, or where there is none those of the public data."""
    for folder in (path.parent, data_folder() / "gpu" / "e2e"):
        files = [f for f in beside(folder, "*.parquet") if blis.recognises(f)]
        if files:
            return files
    return []


def _why_not(rows: list[Row], known: Known) -> str:
    """Why a run cannot be replayed; empty if it can."""
    first = rows[0]
    if LITE in first["experiment"] or first["workload"] not in known.workloads:
        return "its workload was not written down"
    if float(first.get("dp") or 1) > 1:
        return "data parallel: requests are split in a way that was not written down"
    whole = [r for r in rows if r["metric_name"] == "e2e_mean"]
    values = [float(r["actual"]) / 1e3 for r in whole if r["stage_index"] == "-1"]
    for name, mean in known.means_s.items():
        if any(abs(value / mean - 1) < SAME for value in values):
            return f"the same run as {name}, request by request"
    return ""


def _run(name: str, source: str, rows: list[Row], workload: Workload) -> MeasuredRun:
    first = rows[0]
    bits = 8 if first.get("precision", "").upper() == "FP8" else 16
    asked = {"gpu_mem_util": "", "cpu_offload": ""}
    knobs = {key: first.get(key, "") for key in asked if first.get(key)}
    return MeasuredRun(
        name=name,
        source=source,
        model=model_key(first["model"]),
        gpu=gpu_key(first["hardware"]),
        tp=int(float(first["tp"])),
        bits=bits,
        kv_bits=16,
        engine="vllm",
        limits=Limits(
            MAX_RUNNING,
            int(float(first.get("max_num_batched_tokens") or blis.MAX_STEP_TOKENS)),
            None,
            blis.BLOCK_TOKENS,
            prefix_caching=True,
            is_asynchronous=True,
        ),
        workload=first["workload"],
        trace=workload.trace,
        stages=tuple(_stages(rows, workload)),
        knobs=knobs,
        sampling=default_sampling(model_key(first["model"])),
        remarks=("arrivals of a like run", "KV blocks not recorded"),
    )


def _stages(rows: list[Row], workload: Workload) -> Iterator[Stage]:
    for number, (first, last) in enumerate(workload.stages):
        measured = _measured(rows, number)
        if not {"e2e_mean", "ttft_mean"} <= measured.keys():
            continue
        later = measured["e2e_mean"] - measured["ttft_mean"]
        measured["tpot_mean"] = later / (workload.output_tokens - 1)
        yield Stage(
            name=f"stage {number}",
            first=first,
            last=last,
            measured=measured,
            load=workload.loads[number],
            running=workload.loads[number] * measured["e2e_mean"],
            holds_warm_up=number == 0,
        )


def _measured(rows: list[Row], stage: int) -> dict[str, float]:
    """Seconds by metric; the first 300 requests only where there is nothing else."""
    found: dict[str, float] = {}
    for row in reversed(rows):
        if int(row["stage_index"]) == stage and not row["metric_name"].startswith(
            "itl"
        ):
            found[row["metric_name"]] = float(row["actual"]) / 1e3
    return found
