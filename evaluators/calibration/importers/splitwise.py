"""Fits step times to Splitwise's whole-model batches (Patel et al., ISCA 2024, MIT).

A folder holds ``perf_model.csv.gz`` of Mutinifni/splitwise-sim: the time of a batch's
prompts and of one decoding step, for Llama-2-70B on A100 and H100 at TP 2, 4 and 8,
with the vLLM of 2023, its host time included. Points were measured several times.
"""

import csv
import gzip
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.calibration.calibration_file import BLOCK_TOKENS, VERSION, step_time
from evaluators.calibration.composed import Composed, errors
from evaluators.calibration.curves import Floats
from evaluators.calibration.fit import rounded
from evaluators.calibration.importers.asked import Asked, needed
from evaluators.calibration.kv_memory import kv_memory
from evaluators.calibration.records import Provenance
from evaluators.calibration.samples import Samples, steps
from evaluators.calibration.shapes import GPUS, known_model
from evaluators.calibration.steps_fit import fit_samples

FOLDER = "gpu/splitwise"
FILE = "perf_model.csv.gz"
MS = 1e-3
KEYS = ("prompt_size", "batch_size", "token_size")
HELD_OUT_BATCHES = (4, 32)
"""The batches that the fit of which the error is told may not see."""

GPU_NAMES = {"a100-80gb": "a100-sxm-80g", "h100-80gb": "h100-sxm-80g"}
MODEL_NAMES = {"llama-2-70b": "llama2-70b"}
ASSUMPTIONS = (
    "A decoding step reads on average the prompt and half of the tokens generated.",
    "Mixed steps and chunks were not measured: they take the sum of their parts.",
    "Contexts are equal within a batch.",
)
REFERENCE = (
    f"measured batches of {HELD_OUT_BATCHES} requests, which the fit that is judged "
    "did not see (median, 90th percentile)"
)
NOISE_SOURCE = (
    "standard deviation of a decoding step's repeats over their mean, the median over "
    "points"
)
Points = Mapping[tuple[float, ...], list[tuple[float, float]]]


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of Llama-2-70B on one of the GPUs at 2, 4 or 8 ranks.

    Raises ``ValueError`` naming the file that is missing or is not what it should be.
    """
    folder = needed(folder, "Splitwise's table needs", FOLDER)
    points = read(folder, asked)
    samples = {"decode": decodes(points), "prefill": prefills(points)}
    seen = _joined([s.only(~_is_held(s)) for s in samples.values()])
    unseen = {
        f"{name}, other batches": s.only(_is_held(s)) for name, s in samples.items()
    }
    blind = step_time(fit_samples(seen))
    told = {name: errors(s, blind) for name, s in unseen.items()}
    times = fit_samples(_joined(list(samples.values())))
    content = {**_described(points, asked), "step_time": times}
    content["error"] = {"regimes": told, "reference": REFERENCE}
    return Composed(content, unseen)


def _described(points: Points, asked: Asked) -> dict[str, Any]:
    """All of the file but its times; the error is filled in."""
    gpu, model = GPUS[GPU_NAMES[asked.gpu]], known_model(asked.model)
    memory = kv_memory(model, gpu, asked.tp, 2)
    return {
        "version": VERSION,
        "model": model.name,
        "gpu": gpu.name,
        "dtype": "float16",
        "tp": asked.tp,
        "engine": "vllm 2023 (Splitwise)",
        "provenance": asdict(_provenance(asked)),
        "status": "fitted from measured steps",
        "assumptions": list(ASSUMPTIONS),
        "error": None,
        "kv_blocks": memory.blocks,
        "block_tokens": BLOCK_TOKENS,
        "kv_source": memory.source,
        "host": None,
        "links": {},
        "noise": {"relative": rounded([noise(points)])[0], "source": NOISE_SOURCE},
        "step_time": None,
    }


def read(folder: Path, asked: Asked) -> Points:
    """Seconds of (prompts, step) by (prompt, batch, generated tokens), repeats kept."""
    path = folder / FILE
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    rows = list(csv.DictReader(lines))
    names = {"model", "hardware", "tensor_parallel", "prompt_time", "token_time", *KEYS}
    missing = names - set(rows[0] if rows else ())
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(sorted(missing))}, or no row"
        )
    wanted = (MODEL_NAMES.get(asked.model), asked.gpu, str(asked.tp))
    found: dict[tuple[float, ...], list[tuple[float, float]]] = {}
    for row in rows:
        if (row["model"], row["hardware"], row["tensor_parallel"]) != wanted:
            continue
        key = tuple(float(row[name]) for name in KEYS)
        pair = float(row["prompt_time"]) * MS, float(row["token_time"]) * MS
        found.setdefault(key, []).append(pair)
    if not found or asked.gpu not in GPU_NAMES:
        raise ValueError(f"{path} has no {asked.model} on {asked.tp} x {asked.gpu}")
    return found


def decodes(points: Points) -> Samples:
    """The decoding steps, repeats at their median."""
    prompt, batch, generated = (
        np.array(column) for column in zip(*points, strict=True)
    )
    none, context = np.zeros(len(prompt)), prompt + np.floor(generated / 2)
    return Samples(
        **steps(none, none, none, batch, context), seconds=_middle(points, 1)
    )


def prefills(points: Points) -> Samples:
    """The prompts' steps, repeats with any number of generated tokens at the median."""
    merged: dict[tuple[float, ...], list[tuple[float, float]]] = {}
    for key, pairs in points.items():
        merged.setdefault(key[:2], []).extend(pairs)
    prompt, batch = (np.array(column) for column in zip(*merged, strict=True))
    none = np.zeros(len(prompt))
    drawn = steps(batch, prompt, none, none, none)
    return Samples(**drawn, seconds=_middle(merged, 0))


def noise(points: Points) -> float:
    """Relative standard deviation of a repeated decoding step, median over points."""
    every = [np.unique([step for _, step in pairs]) for pairs in points.values()]
    return float(np.median([x.std(ddof=1) / x.mean() for x in every if len(x) > 2]))


def _middle(points: Points, which: int) -> Floats:
    return np.array([np.median([p[which] for p in pairs]) for pairs in points.values()])


def _is_held(samples: Samples) -> np.ndarray:
    return np.isin(np.maximum(samples.decodes, samples.prefills), HELD_OUT_BATCHES)


def _joined(parts: list[Samples]) -> Samples:
    names = Samples.__dataclass_fields__
    return Samples(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def _provenance(asked: Asked) -> Provenance:
    return Provenance(
        "Splitwise (Patel et al., ISCA 2024; Mutinifni/splitwise-sim, MIT): batches "
        f"timed with vLLM, host time included, {asked.tp} x {asked.gpu}",
        asked.gpu,
        date="2023",
    )
