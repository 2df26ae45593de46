"""A calibration: the step time of one model on one GPU, and how far to trust it."""

from importlib.resources import files

from evaluators.calibration.calibration_file import BLOCK_TOKENS, parsed
from evaluators.calibration.checks import one_of, whole
from evaluators.calibration.records import (
    Calibration,
    Host,
    Noise,
    Provenance,
    StepError,
)
from evaluators.calibration.roofline import roofline
from evaluators.calibration.shapes import GPUS, MODELS

__all__ = [
    "Calibration",
    "Host",
    "Noise",
    "Provenance",
    "StepError",
    "load",
    "names",
    "parse",
]

ASSUMED = "roofline:"
MEMORY_SHARE = 0.9  # vLLM's default gpu_memory_utilization


def names() -> tuple[str, ...]:
    """Names of the calibrations shipped in ``data/``, sorted."""
    folder = files("evaluators.calibration") / "data"
    found = (entry.name for entry in folder.iterdir())
    return tuple(sorted(n.removesuffix(".json") for n in found if n.endswith(".json")))


def load(name: str) -> Calibration:
    """The shipped calibration of that name, or ``roofline:MODEL:GPU:TP``, assumed.

    Raises ``ValueError`` naming the calibrations there are when there is none, or
    saying what is wrong with its file.
    """
    if name.startswith(ASSUMED):
        return _assumed(name)
    if name not in names():
        raise ValueError(
            f"no calibration {name!r}; there are {', '.join(names())}, and "
            f"{ASSUMED}MODEL:GPU:TP"
        )
    path = files("evaluators.calibration") / "data" / f"{name}.json"
    return parse(name, path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Calibration:
    """The calibration in a JSON file's text; raises ``ValueError`` in one line."""
    try:
        return parsed(name, text)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"calibration {name}: {error}; there are {', '.join(names())}"
        ) from error


def _assumed(name: str) -> Calibration:
    parts = name.removeprefix(ASSUMED).split(":")
    if len(parts) != 3 or not parts[2].isdecimal() or parts[2] == "0":
        raise ValueError(f"calibration {name!r} is not {ASSUMED}MODEL:GPU:TP")
    model, gpu = (
        MODELS[one_of(parts[0], MODELS, "model")],
        GPUS[one_of(parts[1], GPUS, "gpu")],
    )
    tp = int(parts[2])
    free = MEMORY_SHARE * gpu.memory_bytes * tp - model.parameters * model.weight_bytes
    blocks = int(free // (BLOCK_TOKENS * model.kv_token_bytes))
    return Calibration(
        name=name,
        shape=model,
        gpu=gpu.name,
        dtype=f"{8 * model.weight_bytes} bits",
        tp=tp,
        engine="none",
        provenance=Provenance("nobody: config.json and the GPU's data sheet"),
        status="assumed roofline",
        assumptions=(
            "Every operation reaches the data sheet's peak; nothing else costs.",
        ),
        error=StepError({}, "none: nobody has measured it"),
        kv_blocks=whole(blocks, f"{name}: kv_blocks that fit"),
        block_tokens=BLOCK_TOKENS,
        kv_source="derived: 0.9 of the memory less the weights",
        step_time=roofline(model, gpu, tp),
    )
