"""Runs that LLMServingSim was validated with: vLLM under ShareGPT, one row a request.

A file ``requests.jsonl`` of input_toks, output_toks, queued_ts, first_token_ts,
last_token_ts (s) beside a ``meta.json`` with engine_kwargs, and perhaps
``timeseries.csv`` (running). ``arrival_time`` is of another clock than the other
stamps, so that a request arrives here when the engine queues it.
"""

import json
from pathlib import Path

import numpy as np

from evaluators.serving_runs.measured import (
    Found,
    Limits,
    MeasuredRun,
    Stage,
    gpu_key,
    model_key,
    summarised,
    trace_of,
)
from evaluators.serving_runs.readers.files import Record, beside, lines, table, text

MAX_RUNNING, MAX_STEP_TOKENS, BLOCK_TOKENS = 256, 2048, 16


def recognises(path: Path) -> bool:
    """Whether these are requests with such a description beside them."""
    if not path.name.startswith("requests.jsonl"):
        return False
    return any("engine_kwargs" in text(file) for file in beside(path, "meta.json"))


def read(path: Path) -> Found:
    """The run, which several engines may have shared."""
    meta = json.loads(text(path.with_name("meta.json")))
    kwargs = meta["engine_kwargs"]
    gpu = meta.get("hardware", {}).get("device_name") or _folder(path)
    name = f"{gpu_key(gpu)} {model_key(kwargs['model'])}"
    return Found((_run(path, meta, gpu_key(gpu), name),))


def _folder(path: Path) -> str:
    """The GPU, by the folder of its runs: GPU/MODEL/vllm/requests.jsonl."""
    return path.resolve().parents[2].name


def _run(path: Path, meta: Record, gpu: str, name: str) -> MeasuredRun:
    kwargs, rows = meta["engine_kwargs"], lines(path)
    rows = sorted(rows, key=lambda row: row["queued_ts"])
    queued, first, last = (
        np.array([row[key] for row in rows])
        for key in ("queued_ts", "first_token_ts", "last_token_ts")
    )
    prompts = np.array([row["input_toks"] for row in rows])
    outputs = np.array([row["output_toks"] for row in rows])
    several = outputs > 1
    tpot = ((last - first) / np.maximum(outputs - 1, 1))[several]
    measured = summarised(first - queued, "ttft") | summarised(tpot, "tpot")
    running = float((last - first).sum() / (last.max() - queued.min()))
    stage = Stage(
        name="all",
        first=0,
        last=len(rows),
        measured=measured | summarised(last - queued, "e2e"),
        load=round((len(rows) - 1) / float(queued[-1] - queued[0]), 1),
        running=_running(path) or running,
    )
    return MeasuredRun(
        name=name,
        source=str(Path(*path.parts[-4:])),
        model=model_key(kwargs["model"]),
        gpu=gpu,
        tp=int(kwargs.get("tensor_parallel_size") or 1),
        bits=16,
        kv_bits=16,
        engine=f"vllm {meta.get('vllm_version', '')}",
        limits=_limits(meta),
        workload=Path(str(meta.get("dataset_path", "sharegpt"))).stem,
        trace=trace_of(queued, prompts, outputs),
        stages=(stage,),
        engines=int(kwargs.get("data_parallel_size") or 1),
        remarks=("arrivals as queued by the engine; prompts taken as different",),
    )


def _limits(meta: Record) -> Limits:
    kwargs, cache = meta["engine_kwargs"], meta.get("kv_cache", {})
    return Limits(
        int(kwargs.get("max_num_seqs") or MAX_RUNNING),
        int(kwargs.get("max_num_batched_tokens") or MAX_STEP_TOKENS),
        cache.get("num_gpu_blocks"),
        int(cache.get("block_size") or BLOCK_TOKENS),
        prefix_caching=False,
        is_asynchronous=True,
    )


def _running(path: Path) -> float | None:
    """Mean number that ran, over the seconds in which any did."""
    for file in beside(path, "timeseries.csv", "timeseries.csv.gz"):
        counts = [float(row["running"]) for row in table(file)]
        busy = [count for count in counts if count > 0]
        return float(np.mean(busy)) if busy else None
    return None
