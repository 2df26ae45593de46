"""Requests of BLIS's training runs: vLLM on H100, open loop, one row a request.

A parquet file of columns experiment, index, arrival_time_us, input_tokens,
output_tokens, has_error, ttft_s, e2e_s; in its folder ``*experiments*.json`` (limits)
and ``*stage_metrics*.jsonl`` (what the load generator was told), each plain or .gz.

What these files do not say, and what was found out about them:

- ``output_tokens`` is the client counting text again, and often far too low; the engine
  was told to generate the configured length (``ignore_eos``).
- Lengths repeat with a period of 100: so many prompts were sent in turn, and all but
  the first hundred requests find theirs cached.
- In the first minute single requests took up to ten seconds.
- The load generator calls the arrivals constant; they are Poisson.
- The version of vLLM was not written down; that it schedules asynchronously was
  inferred: a first token takes three steps whatever the model.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluators.serving_runs.host import FITTED_ON
from evaluators.serving_runs.measured import (
    KNOWN_GPUS,
    Found,
    Limits,
    MeasuredRun,
    Stage,
    gpu_key,
    model_key,
    summarised,
    trace_of,
)
from evaluators.serving_runs.readers.files import Record, beside, lines, text
from evaluators.serving_runs.sampling import default_sampling
from evaluators.serving_runs.shared_prompts import (
    period,
    prompt_of,
    repeated,
    usual_tokens,
)
from evaluators.workloads.prefixes import Ints, Prefixes

COLUMNS = {
    "experiment",
    "index",
    "arrival_time_us",
    "input_tokens",
    "output_tokens",
    "has_error",
    "ttft_s",
    "e2e_s",
}
WARM_UP_S = 60.0
START_TOKENS = 1
"""Of every text that the client counts; in all eight public runs its most frequent
count is one above the configured length."""
MAX_RUNNING, MAX_STEP_TOKENS, BLOCK_TOKENS = 256, 2048, 16
"""Of vLLM, where a run's limits were not written down."""

Floats = np.ndarray


class Requests(NamedTuple):
    """Requests of one experiment in order of arrival, columns of shape (n,)."""

    arrived_s: Floats
    prompt_tokens: Ints
    counted_tokens: Ints
    failed: np.ndarray
    ttft_s: Floats
    e2e_s: Floats


class Sent(NamedTuple):
    """What was sent: lengths, and what the prompts share."""

    prompt_tokens: Ints
    output_tokens: int
    prefixes: Prefixes | None
    remark: str


def recognises(path: Path) -> bool:
    """Whether this is a parquet file of such columns."""
    return path.suffix == ".parquet" and set(_columns(path)) >= COLUMNS


def read(path: Path) -> Found:
    """The experiments of a file; raises ``ValueError`` where pyarrow is missing."""
    told, reports = experiments(path), stage_reports(path)
    runs = []
    for name, requests in requests_of(path).items():
        runs.append(_run(path, requests, told.get(name, {}), reports.get(name), name))
    return Found(tuple(runs))


def experiments(path: Path) -> dict[str, Record]:
    """Limits and models by experiment, of all such files beside this one."""
    found = beside(path, "*experiments*.json", "*experiments*.json.gz")
    return {row["experiment"]: row for file in found for row in json.loads(text(file))}


def stage_reports(path: Path) -> dict[str, Record]:
    """Reports of the load generator by experiment, of all such files beside this."""
    found = beside(path, "*stage_metrics*.jsonl", "*stage_metrics*.jsonl.gz")
    return {row["experiment"]: row for file in found for row in lines(file)}


@lru_cache(maxsize=2)
def requests_of(path: Path) -> dict[str, Requests]:
    """Requests by experiment, in order of arrival."""
    columns = _parquet().read_table(path, columns=sorted(COLUMNS)).to_pydict()
    names = np.array(columns["experiment"])
    found = {}
    for name in dict.fromkeys(columns["experiment"]):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(np.array(columns["index"])[rows], kind="stable")]
        arrived = np.array(columns["arrival_time_us"])[rows] / 1e6
        rows = rows[np.argsort(arrived, kind="stable")]
        found[name] = Requests(
            np.sort(arrived, kind="stable"),
            np.array(columns["input_tokens"], dtype=np.int64)[rows],
            np.array(columns["output_tokens"], dtype=np.int64)[rows],
            np.array(columns["has_error"], dtype=bool)[rows],
            np.array(columns["ttft_s"], dtype=np.float64)[rows],
            np.array(columns["e2e_s"], dtype=np.float64)[rows],
        )
    return found


def sent(requests: Requests, report: Record | None, block_tokens: int) -> Sent:
    """What the engine was sent, as far as client and lengths tell."""
    output = _configured(report, "output_len")
    remark = "configured output length"
    if output is None:
        counted = requests.counted_tokens[~requests.failed]
        output = max(1, int(np.bincount(counted).argmax()) - START_TOKENS)
        remark = "output length is the client's most frequent count, less the start"
    lag = period(requests.prompt_tokens)
    if lag is None:
        tokens = np.maximum(requests.prompt_tokens, 1)
        return Sent(tokens, output, None, f"{remark}; no prompts in common")
    prompt = prompt_of(requests.prompt_tokens, lag)
    unknown = requests.prompt_tokens == 0
    usual = usual_tokens(requests.prompt_tokens, lag)
    tokens = np.where(unknown, usual[prompt], requests.prompt_tokens)
    chains = repeated(prompt, tokens, block_tokens)
    return Sent(tokens, output, chains, f"{remark}; {lag} prompts in turn")


def _run(
    path: Path, requests: Requests, told: Record, report: Record | None, name: str
) -> MeasuredRun:
    config = _config(told, report)
    block = int(config.get("block_size") or BLOCK_TOKENS)
    blocks = config.get("kv_blocks_total_gpu")
    what = sent(requests, report, block)
    outputs = np.full(len(requests.arrived_s), what.output_tokens)
    key = model_key(str(told.get("model_id") or config.get("model") or name))
    return MeasuredRun(
        name=name,
        source=path.name,
        model=key,
        gpu=_gpu(config, path),
        tp=int(config.get("tensor_parallelism") or 1),
        bits=16,
        kv_bits=16,
        engine="vllm",
        limits=Limits(
            int(config.get("max_num_seqs") or MAX_RUNNING),
            int(config.get("max_num_batched_tokens") or MAX_STEP_TOKENS),
            int(blocks) if blocks else None,
            block,
            prefix_caching=True,
            is_asynchronous=True,
        ),
        workload=profile_name(name, told),
        trace=trace_of(requests.arrived_s, what.prompt_tokens, outputs, what.prefixes),
        stages=tuple(_stages(requests, report, what.output_tokens)),
        sampling=default_sampling(key),
        part="fit" if name in FITTED_ON else "test",
        remarks=(what.remark,),
    )


def _gpu(config: Mapping[str, Any], path: Path) -> str:
    """As written down, or else in the file's name; these runs were all made on H100."""
    told = gpu_key(str(config.get("hardware") or config.get("gpu") or ""))
    named = gpu_key(path.name)
    return told or (named if named in KNOWN_GPUS else "h100")


def profile_name(experiment: str, told: Record) -> str:
    """What was sent, as in general or codegen."""
    return str(told.get("profile") or experiment.rsplit("-", 1)[-1])


def stage_rows(requests: Requests, report: Record | None) -> list[tuple[int, int]]:
    """First row of each stage and the one behind its last, as configured."""
    n, stages, first = len(requests.arrived_s), [], 0
    load = (report or {}).get("client_profile", {}).get("load", {})
    for stage in load.get("stages", ()):
        last = min(n, first + round(stage["duration"] * stage["rate"]))
        if last > first:
            stages.append((first, last))
        first = last
    if not stages or stages[-1][1] < n:
        stages = [*stages[:-1], (stages[-1][0] if stages else 0, n)]
    return stages


def _stages(
    requests: Requests, report: Record | None, output_tokens: int
) -> Iterator[Stage]:
    for number, (first, last) in enumerate(stage_rows(requests, report)):
        arrived = requests.arrived_s[first:last]
        late = arrived >= arrived[0] + WARM_UP_S
        failed = requests.failed[first:last]
        kept = np.flatnonzero(late & ~failed) + first
        if not kept.size:
            continue
        ttft, e2e = requests.ttft_s[kept], requests.e2e_s[kept]
        tpot = (e2e - ttft) / max(output_tokens - 1, 1)
        measured = summarised(ttft, "ttft") | summarised(tpot, "tpot")
        per_s = (last - first - 1) / max(float(arrived[-1] - arrived[0]), 1e-9)
        yield Stage(
            name=f"stage {number}",
            first=first,
            last=last,
            measured=measured | summarised(e2e, "e2e"),
            load=round(per_s, 1),
            running=per_s * float(e2e.mean()),
            cut_s=WARM_UP_S,
            failed=float(failed.mean()),
        )


def _config(told: Record, report: Record | None) -> dict[str, Any]:
    found = dict((report or {}).get("vllm_config", {}))
    return found | {k: v for k, v in told.get("config", {}).items() if v is not None}


def _configured(report: Record | None, key: str) -> int | None:
    data = (report or {}).get("client_profile", {}).get("data", {})
    for part in data.values():
        if isinstance(part, dict) and part.get(key):
            return int(part[key])
    return None


def _columns(path: Path) -> list[str]:
    parquet = _parquet()
    try:
        names: list[str] = parquet.read_schema(path).names
    except (OSError, ValueError):  # pyarrow's, of a file that is no whole parquet file
        return []
    return names


def _parquet() -> Any:  # noqa: ANN401 (a module that has no types)
    try:
        import pyarrow.parquet  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise ValueError(
            "reading parquet files of measured runs needs pyarrow: "
            "pip install 'adrs-harness[traces]'"
        ) from error
    return pyarrow.parquet
