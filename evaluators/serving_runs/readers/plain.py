"""One's own measured run: ``run.json`` and ``requests.csv`` in one folder.

``run.json`` holds name, model, gpu, tp, max_running, max_step_tokens; perhaps bits
(16), kv_bits (those), kv_blocks, block_tokens (16), prefix_caching (true),
is_asynchronous (true), sampling (greedy, drawn or nucleus: greedy), engine ("vllm"),
workload (its name), concurrency (null: open loop), cut_s (0; seconds of each stage that
are no part of its statistics).

``requests.csv`` has a row a request: arrived_s, prompt_tokens, output_tokens (those
that the engine generated), ttft_s, e2e_s (empty: failed); perhaps stage (0) and prompt
(equal numbers: the same prompt).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

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
from evaluators.serving_runs.readers.files import beside, header
from evaluators.serving_runs.readers.plain_checks import checked_rows, described
from evaluators.serving_runs.sampling import COSTS, Sampling
from evaluators.serving_runs.shared_prompts import repeated

COLUMNS = {"arrived_s", "prompt_tokens", "output_tokens", "ttft_s", "e2e_s"}

Row = Mapping[str, str]


def recognises(path: Path) -> bool:
    """Whether these are such requests, with a ``run.json`` beside them."""
    if path.name.removesuffix(".gz") != "requests.csv":
        return False
    return bool(list(beside(path, "run.json"))) and header(path) >= COLUMNS


def read(path: Path) -> Found:
    """The run; raises ``ValueError`` naming what its description lacks."""
    told = described(path.with_name("run.json"))
    rows = sorted(checked_rows(path), key=lambda row: float(row["arrived_s"]))
    block = int(told.get("block_tokens", 16))
    prompts = np.array([int(row["prompt_tokens"]) for row in rows])
    shared = None
    if all(row.get("prompt") for row in rows):
        shared = repeated(
            np.array([int(row["prompt"]) for row in rows]), prompts, block
        )
    bits = int(told.get("bits", 16))
    run = MeasuredRun(
        name=str(told["name"]),
        source=path.name,
        model=model_key(told["model"]),
        gpu=gpu_key(told["gpu"]),
        tp=int(told["tp"]),
        bits=bits,
        kv_bits=int(told.get("kv_bits", bits)),
        engine=str(told.get("engine", "vllm")),
        limits=_limits(told, block),
        workload=str(told.get("workload", told["name"])),
        trace=trace_of(
            np.array([float(row["arrived_s"]) for row in rows]),
            prompts,
            np.array([int(row["output_tokens"]) for row in rows]),
            shared,
        ),
        stages=tuple(_stages(rows, float(told.get("cut_s", 0.0)))),
        concurrency=told.get("concurrency"),
        sampling=_sampling(told),
    )
    if not run.stages:
        raise ValueError("no request ended behind cut_s: ttft_s and e2e_s are empty")
    return Found((run,))


def _sampling(told: Mapping[str, Any]) -> Sampling:
    asked = told.get("sampling", "greedy")
    if asked not in COSTS:
        raise ValueError(f"sampling is {asked!r}; expected one of {tuple(COSTS)}")
    return cast(Sampling, asked)


def _limits(told: Mapping[str, Any], block_tokens: int) -> Limits:
    return Limits(
        int(told["max_running"]),
        int(told["max_step_tokens"]),
        told.get("kv_blocks"),
        block_tokens,
        bool(told.get("prefix_caching", True)),
        bool(told.get("is_asynchronous", True)),
    )


def _stages(rows: Sequence[Row], cut_s: float) -> Iterator[Stage]:
    names = [row.get("stage") or "0" for row in rows]
    for name in dict.fromkeys(names):
        first = names.index(name)
        last = first + names.count(name)
        if strays := [n for n in names[first:last] if n != name]:
            raise ValueError(
                f"requests of stage {strays[0]!r} lie among those of stage {name!r}; "
                "expected the rows of a stage together, in order of arrival"
            )
        part = rows[first:last]
        start = float(part[0]["arrived_s"])
        ended = [row for row in part if row["ttft_s"] and row["e2e_s"]]
        kept = [row for row in ended if float(row["arrived_s"]) >= start + cut_s]
        if not kept:
            continue
        span_s = max(float(part[-1]["arrived_s"]) - start, 1e-9)
        measured = _measured(kept)
        per_s = (len(part) - 1) / span_s
        yield Stage(
            name=f"stage {name}",
            first=first,
            last=last,
            measured=measured,
            load=round(per_s, 1),
            running=per_s * measured["e2e_mean"],
            cut_s=cut_s,
            failed=1 - len(ended) / len(part),
        )


def _measured(rows: Sequence[Row]) -> dict[str, float]:
    ttft, e2e, outputs = (
        np.array([float(row[key]) for row in rows])
        for key in ("ttft_s", "e2e_s", "output_tokens")
    )
    several = outputs > 1
    found = summarised(ttft, "ttft") | summarised(e2e, "e2e")
    if not several.any():
        return found
    tpot = (e2e - ttft)[several] / (outputs - 1)[several]
    return found | summarised(tpot, "tpot")
