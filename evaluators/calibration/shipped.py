"""Recipes of the calibrations that are shipped: which tables each is made from."""

from pathlib import Path
from typing import NamedTuple

from evaluators.calibration.calibration_file import as_text
from evaluators.calibration.composed import Composed
from evaluators.calibration.importers import importer
from evaluators.calibration.importers.asked import Asked


class Recipe(NamedTuple):
    """A source, and what is asked of it."""

    source: str
    asked: Asked


_ON_ALL = {
    "llama31_8b": ("llama-3.1-8b", 1),
    "llama31_70b_tp4": ("llama-3.1-70b", 4),
    "llama31_70b_tp8": ("llama-3.1-70b", 8),
    "llama2_7b": ("llama-2-7b", 1),
    "llama2_70b_tp4": ("llama-2-70b", 4),
    "qwen3_32b_tp2": ("qwen3-32b", 2),
    "mixtral_8x7b_tp2": ("mixtral-8x7b", 2),
}
_KERNELS = {
    f"{name}_{gpu}": Asked(f"{gpu}_sxm", *made)
    for gpu in ("h100", "h200", "a100")
    for name, made in _ON_ALL.items()
}
_KERNELS |= {
    "llama31_8b_tp2_h100": Asked("h100_sxm", "llama-3.1-8b", 2),
    "mixtral_8x7b_tp4_h100": Asked("h100_sxm", "mixtral-8x7b", 4),
    "qwen25_7b_h100": Asked("h100_sxm", "qwen2.5-7b"),
    "deepseek_v3_fp8_tp8_h200": Asked("h200_sxm", "deepseek-v3", 8, "fp8_block"),
}
_KERNELS |= {
    f"llama31_70b_fp8_tp{tp}_{gpu}": Asked(
        f"{gpu}_sxm", "llama-3.1-70b", tp, "fp8", cached="fp8"
    )
    for gpu, tp in (
        *(("h100", tp) for tp in (2, 4, 8)),
        *(("h200", tp) for tp in (1, 2, 4, 8)),
    )
}
_COEFFICIENTS = {
    f"{name}_a100_{engine}": Asked("a100", model, tp, engine=engine)
    for name, model, tp in (("opt13b", "opt-13b", 1), ("opt66b_tp4", "opt-66b", 4))
    for engine in ("distserve", "vllm")
}
_PROFILES = {
    "llama31_8b_rtxpro6000": Asked("RTXPRO6000", "llama-3.1-8b"),
    "llama31_8b_rtx4090": Asked("RTX4090", "llama-3.1-8b"),
    "qwen3_32b_tp2_rtxpro6000": Asked("RTXPRO6000", "qwen3-32b", 2),
    "qwen3_30b_a3b_rtxpro6000": Asked("RTXPRO6000", "qwen3-30b-a3b"),
    "qwen3_30b_a3b_dp2_rtxpro6000": Asked("RTXPRO6000", "qwen3-30b-a3b", engine="dp2"),
}
_STEPS = {
    "llama31_8b_h100_bsc": Asked("h100", "llama-3.1-8b"),
    "qwen25_7b_h100_bsc": Asked("h100", "qwen2.5-7b"),
}
_BATCHES = {
    f"llama2_70b_tp4_{gpu}_splitwise": Asked(f"{gpu}-80gb", "llama-2-70b", 4)
    for gpu in ("a100", "h100")
}
_OPERATIONS = {"llama2_70b_tp2_a100_vidur": Asked("a100", "llama-2-70b", 2)}
RECIPES = {
    **{name: Recipe("aic", asked) for name, asked in _KERNELS.items()},
    **{name: Recipe("llmservingsim", asked) for name, asked in _PROFILES.items()},
    **{name: Recipe("bsc", asked) for name, asked in _STEPS.items()},
    **{name: Recipe("splitwise", asked) for name, asked in _BATCHES.items()},
    **{name: Recipe("vidur", asked) for name, asked in _OPERATIONS.items()},
    **{name: Recipe("distserve", asked) for name, asked in _COEFFICIENTS.items()},
}


def made(name: str, data: Path | None) -> Composed:
    """The calibration of that name again, from a data folder or installed packages."""
    recipe = RECIPES[name]
    source = importer(recipe.source)
    folder = None if data is None else data / source.FOLDER
    return source.calibration(folder, recipe.asked)


def text(name: str, data: Path | None) -> str:
    """The file's text of that name."""
    return as_text(made(name, data).content)
