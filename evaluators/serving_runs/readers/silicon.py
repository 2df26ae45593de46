"""AIConfigurator's silicon sample: closed loops of serving engines, one row a run.

A CSV file of columns id, backend, backend_version, model_path, system, precision,
mode, isl, osl, batch_size, tp_size, attention_dp_size, silicon_data_source,
silicon_ttft_ms, silicon_tpot_ms and others. Most rows are nightly runs of InferenceMAX,
whose public scripts say how they were made: as many users as the engine may run at
once, ten requests each, prompt and output uniform from 0.8 of the named lengths up to
these, at most 8,192 tokens a step, KV numbers of 8 bits with weights of no more,
asynchronous scheduling, no prefix caching, greedy sampling.

The two times are read as means over a run's requests. They have been called medians,
but all users start at once, so that most of the mean time to a first token is that of
the first round: replayed means are 9 % below the measured times to the first token in
the median, replayed medians 46 %.

Rows of backend version 0.12.0 are left out: their concurrency is not that of an engine.
"""

from collections.abc import Mapping
from pathlib import Path

from evaluators.serving_runs.closed_loop import Loop, looped
from evaluators.serving_runs.measured import (
    Found,
    LeftOut,
    Limits,
    MeasuredRun,
    Stage,
    gpu_key,
    model_key,
)
from evaluators.serving_runs.readers.files import header, is_named, number, table

COLUMNS = {
    "id",
    "backend",
    "backend_version",
    "model_path",
    "system",
    "isl",
    "osl",
    "batch_size",
    "tp_size",
    "silicon_ttft_ms",
    "silicon_tpot_ms",
}
NOT_PER_ENGINE = "0.12.0"
ROUNDS, LEAST, MAX_STEP_TOKENS = 10, 0.8, 8192
"""Of InferenceMAX's scripts, late in 2025 (benchmark_serving, RANDOM_RANGE_RATIO)."""
BETWEEN_STARTS_S = 0.001
"""Between two requests that a client sends as fast as it can; our guess."""
NAMED = ("wip=", "workflow_run_id=")
"""How InferenceMAX's rows are told from others: by what their source lists."""

Row = Mapping[str, str]


def recognises(path: Path) -> bool:
    """Whether this is a CSV file of such columns."""
    return is_named(path, ".csv") and header(path) >= COLUMNS


def read(path: Path) -> Found:
    """The rows of vLLM on one engine; all others are left out, each with why."""
    runs, left_out = [], []
    for row in table(path):
        why = _why_not(row)
        if why:
            left_out.append(LeftOut(row["id"], why))
        else:
            runs.append(_run(row, path.name))
    return Found(tuple(runs), tuple(left_out))


def _why_not(row: Row) -> str:
    """Why a row cannot be replayed; empty if it can."""
    if row["backend"] != "vllm":
        return f"engine {row['backend']}: only vLLM's scheduler is simulated"
    if row.get("mode", "agg") != "agg":
        return "prefill and decode on different engines, in numbers not replayed here"
    if row["backend_version"] == NOT_PER_ENGINE:
        return f"vLLM {NOT_PER_ENGINE}: its concurrency is not that of an engine"
    if (number(row.get("attention_dp_size", "")) or 1) > 1:
        return "data parallel: several engines behind one address"
    if (number(row.get("moe_ep_size", "")) or 1) > 1:
        return "expert parallel"
    needed = ("isl", "osl", "batch_size", "tp_size", "silicon_tpot_ms")
    missing = [key for key in needed if number(row[key]) is None]
    return f"no {missing[0]}" if missing else ""


def _run(row: Row, source: str) -> MeasuredRun:
    users, isl, osl = (int(float(row[k])) for k in ("batch_size", "isl", "osl"))
    ttft_s, tpot_s = (_seconds(row[f"silicon_{k}_ms"]) for k in ("ttft", "tpot"))
    is_max = any(word in row.get("silicon_data_source", "") for word in NAMED)
    least = LEAST if is_max else 1.0
    starts_s = users * BETWEEN_STARTS_S if is_max else osl * tpot_s
    loop = Loop(users, ROUNDS, isl, osl, least, starts_s)
    trace = looped(loop, f"{isl}x{osl}x{users}")
    measured = {"ttft_mean": ttft_s} if ttft_s else {}
    first = 0 if is_max else users
    stage = Stage(
        name="all",
        first=first,
        last=len(trace),
        measured=measured | {"tpot_mean": tpot_s},
        load=float(users),
        running=float(users),
    )
    bits = 8 if row.get("precision", "").startswith("fp8") else 16
    if row.get("precision", "") in ("fp4", "int4"):
        bits = 4
    return MeasuredRun(
        name=row["id"],
        source=source,
        model=model_key(row["model_path"]),
        gpu=gpu_key(row["system"]),
        tp=int(float(row["tp_size"])),
        bits=bits,
        kv_bits=8 if is_max and bits < 16 else 16,
        engine=f"vllm {row['backend_version'] or 'of no recorded version'}",
        limits=Limits(users, MAX_STEP_TOKENS, None, 16, False, True),
        workload=f"{isl} in, {osl} out",
        trace=trace,
        stages=(stage,),
        concurrency=users,
        remarks=("lengths uniform from 0.8 up",) if is_max else ("equal lengths",),
    )


def _seconds(cell: str) -> float:
    return (number(cell) or 0.0) / 1e3
