"""Turns DistServe's published A100 coefficients into calibration files.

Run as ``python -m tests.calibration.distserve DATA`` where DATA holds
``gpu/distserve`` (profiler-a100-80g.*.json and max_num_tokens.csv).
"""

import csv
import json
import sys
from pathlib import Path

from evaluators.calibration.fit import as_text, six_digits

PS_PER_MS = 1e9
BLOCK_TOKENS = 16
MODELS = {
    ("opt-13b", 1): "opt13b_a100_{engine}",
    ("opt-66b", 4): "opt66b_tp4_a100_{engine}",
}
ASSUMPTIONS = [
    "A step that mixes prefill and decode costs its decode part plus the prefill's "
    "per-token and per-work parts; the published fits are of pure steps only.",
    "The prefill constant is paid only when nothing decodes.",
]


def calibrations(data: Path) -> dict[str, str]:
    """Text of each calibration file, by name."""
    made = {}
    for engine in ("distserve", "vllm"):
        folder = data / "gpu" / "distserve"
        fits = json.loads((folder / f"profiler-a100-80g.{engine}.json").read_text())
        for (model, tp), name in MODELS.items():
            fit = fits[f"facebook/{model}"][str(tp)]
            tokens = _kv_tokens(folder / "max_num_tokens.csv", model, tp)
            content = _calibration(engine, model, tp, fit, tokens)
            made[name.format(engine=engine)] = as_text(content)
    return made


def _calibration(engine: str, model: str, tp: int, fit: dict, kv_tokens: int) -> dict:
    return {
        "model": model,
        "gpu": "a100-sxm-80g",
        "dtype": "float16",
        "tp": tp,
        "engine": f"{engine} (version not published)",
        "source": "DistServe (Zhong et al., OSDI 2024), coefficients that its authors "
        f"fitted on A100 80 GB: simdistserve profiler-a100-80g.{engine}.json, "
        "rounded to 6 significant digits",
        "status": "published coefficients",
        "assumptions": ASSUMPTIONS,
        "error": {
            "regimes": {},
            "reference": "none: the authors publish the coefficients without the "
            "measurements behind them",
        },
        "kv_blocks": kv_tokens // BLOCK_TOKENS,
        "block_tokens": BLOCK_TOKENS,
        "kv_source": f"DistServe's max_num_tokens for TP{tp}, PP1: {kv_tokens} tokens",
        "step_time": _step_time(fit),
    }


def _step_time(fit: dict) -> dict:
    prefill, small, large = (
        [six_digits(value * PS_PER_MS) for value in fit[key]]
        for key in ("prefill", "decoding_smallbs", "decoding_largebs")
    )
    split = fit["decoding_large_small_bs_threshold"]
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
    with path.open() as file:
        rows = list(csv.DictReader(file))
    key = (f"facebook/{model}", str(tp), "1")
    return next(
        int(r["max_num_tokens"]) for r in rows if (r["model"], r["tp"], r["pp"]) == key
    )


if __name__ == "__main__":
    for calibration, text in calibrations(Path(sys.argv[1])).items():
        Path(f"evaluators/calibration/data/{calibration}.json").write_text(text)
