"""Reads the coefficients that DistServe's authors fitted on A100 80 GB.

A folder holds ``profiler-a100-80g.ENGINE.json`` and ``max_num_tokens.csv`` of
LLMServe/DistServe (Apache-2.0), for the engines ``distserve`` and ``vllm``. The
measurements behind the coefficients are not public.
"""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluators.calibration.calibration_file import BLOCK_TOKENS, VERSION
from evaluators.calibration.composed import Composed
from evaluators.calibration.fit import six_digits
from evaluators.calibration.importers.asked import Asked, needed
from evaluators.calibration.records import Provenance

PS_PER_MS = 1e9
GPU = "a100-sxm-80g"
DEVICE = "NVIDIA A100 80 GB"
WHO = (
    "DistServe (Zhong et al., OSDI 2024), coefficients that its authors fitted: "
    "simdistserve {file}, rounded to 6 significant digits"
)
FOLDER = "gpu/distserve"
PROFILED = ("distserve", "vllm")
ASSUMPTIONS = [
    "A step that mixes prefill and decode costs its decode part plus the prefill's "
    "per-token and per-work parts; the published fits are of pure steps only.",
    "The prefill constant is paid only when nothing decodes.",
]


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of an engine, a model such as opt-13b, and TP, on an A100.

    Raises ``ValueError`` naming the file that lacks it.
    """
    folder = needed(folder, "DistServe's files need", FOLDER)
    return Composed(read(folder, asked.engine, asked.model, asked.tp), {})


def read(folder: Path, engine: str, model: str, tp: int) -> dict[str, Any]:
    """Content of the calibration file of an engine, a model and TP."""
    if engine not in PROFILED:
        raise ValueError(
            f"engine is {engine!r}; expected engine=distserve or engine=vllm"
        )
    path = folder / f"profiler-a100-80g.{engine}.json"
    if not path.is_file():
        raise ValueError(f"no file {path}; expected DistServe's fitted profile there")
    try:
        fitted = json.loads(path.read_text(encoding="utf-8"))
        found = fitted[f"facebook/{model}"][str(tp)]
        times = _step_time(found)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} has no coefficients of {model} TP{tp}") from error
    kv_tokens = _kv_tokens(folder / "max_num_tokens.csv", model, tp)
    return {
        "version": VERSION,
        "model": model,
        "gpu": GPU,
        "dtype": "float16",
        "tp": tp,
        "engine": f"{engine} (version not published)",
        "provenance": asdict(Provenance(WHO.format(file=path.name), DEVICE)),
        "status": "published coefficients",
        "assumptions": ASSUMPTIONS,
        "error": {
            "regimes": {},
            "reference": "none: the authors publish the coefficients without the "
            "measurements behind them",
        },
        "kv_blocks": kv_tokens // BLOCK_TOKENS,
        "block_tokens": BLOCK_TOKENS,
        "kv_source": f"measured: DistServe's max_num_tokens for TP{tp}, PP1: "
        f"{kv_tokens} tokens",
        "host": None,
        "links": {},
        "noise": None,
        "step_time": times,
    }


def _step_time(fitted: dict[str, Any]) -> dict[str, Any]:
    prefill, small, large = (
        [six_digits(value * PS_PER_MS) for value in fitted[key]]
        for key in ("prefill", "decoding_smallbs", "decoding_largebs")
    )
    split = fitted["decoding_large_small_bs_threshold"]
    pieces = ((1, small), (split - 1, small), (split, large), (split + 1, large))
    return {
        "tokens_ps": [[0, 0]],
        "decodes_ps": [
            [0, prefill[0]],
            *([count, part[0] + part[2] * count] for count, part in pieces),
        ],
        "context_knots": [0],
        "context_ps": [
            [
                [0, small[1]],
                [split - 1, small[1]],
                [split, large[1]],
                [split + 1, large[1]],
            ]
        ],
        "prefill_token_ps": prefill[1],
        "prefill_work_ps": prefill[2],
        "prefill_ps": 0,
        "prefill_context_ps": 0,
        "longest_context_ps": 0,
    }


def _kv_tokens(path: Path, model: str, tp: int) -> int:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    key = (f"facebook/{model}", str(tp), "1")
    found = [r for r in rows if (r["model"], r["tp"], r["pp"]) == key]
    if not found:
        raise ValueError(f"{path} has no row of {model} TP{tp}, PP1")
    return int(found[0]["max_num_tokens"])
