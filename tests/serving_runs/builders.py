"""Small measured runs, a test states only what it is about."""

import csv
import gzip
import json

import numpy as np

from evaluators.serving_runs.comparison import Point
from evaluators.serving_runs.measured import Limits, MeasuredRun, Stage, trace_of

LIMITS = Limits(128, 2048, None, 16, True, True)
EVEN = {"dense": 0.7, "sequences": 0.1, "attention": 0.1, "prefill": 0.1}


def stage(measured=None, **changed):
    values = {"name": "stage 0", "first": 0, "last": 2, "load": 8.0, "running": 10.0}
    return Stage(measured=measured or {"e2e_mean": 2.0}, **(values | changed))


def run(*stages, **changed):
    values = {
        "name": "a run",
        "source": "made up",
        "model": "llama-3.1-8b",
        "gpu": "h100",
        "tp": 1,
        "bits": 16,
        "kv_bits": 16,
        "engine": "vllm",
        "limits": LIMITS,
        "workload": "general",
        "trace": trace_of(np.arange(2.0), np.full(2, 100), np.full(2, 10)),
        "stages": stages or (stage(),),
    }
    return MeasuredRun(**(values | changed))


def point(measured, predicted, shares=EVEN, **changed):
    of_stage = {k: changed.pop(k) for k in list(changed) if hasattr(Stage, k)}
    served = run(stage(measured, **of_stage), **changed)
    return Point(served, served.stages[0], predicted, 10.0, shares, "made up")


def write_csv(path, rows):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def plain_run(folder, rows, **told):
    """One's own run in a folder: rows of arrival, prompt, output, TTFT and E2E."""
    keys = ("arrived_s", "prompt_tokens", "output_tokens", "ttft_s", "e2e_s")
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "name": folder.name,
        "model": "meta-llama/Llama-3.1-8B",
        "gpu": "H100",
        "tp": 1,
        "max_running": 128,
        "max_step_tokens": 2048,
    }
    (folder / "run.json").write_text(json.dumps(values | told))
    cells = [dict(zip(keys, row, strict=True)) for row in rows]
    return write_csv(folder / "requests.csv", cells)
