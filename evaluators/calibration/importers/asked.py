"""What a calibration is asked of a source: the GPU, the model, and how it is served."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """Names as the source has them: ``gpu`` and ``engine`` are its own.

    ``model`` is one of ``shapes.MODELS``, ``weights`` a dtype such as ``bfloat16``,
    ``cached`` that of keys and values.
    """

    gpu: str
    model: str
    tp: int = 1
    weights: str = "bfloat16"
    engine: str = ""
    cached: str = "bfloat16"


def needed(folder: Path | None, what: str, place: str) -> Path:
    """The folder that a source is read from; ``place`` is its own in a folder of data.

    Raises ``ValueError`` that says how to name it where there is none; ``what`` needs
    it, as in "Vidur's tables need".
    """
    if folder is None:
        raise ValueError(
            f"{what} a folder: say folder=FOLDER, or data=FOLDER for one that holds "
            f"{place}"
        )
    return folder


def check_answer(
    asked: Asked, content: Mapping[str, Any], engines: Sequence[str] = ()
) -> None:
    """Raise ``ValueError`` when a source gave something else than it was asked for.

    Sources of one GPU, dtype or rank count would otherwise answer any question with
    what they have. ``engines`` are further words that the source reads as an engine.
    """
    family = re.split(r"[-_]", asked.gpu.lower())[0]
    gpu, dtype, engine = content["gpu"], content["dtype"], content["engine"]
    for what, word, has in (
        ("gpu", asked.gpu, gpu.replace("-", "").startswith(family)),
        ("tp", asked.tp, content["tp"] == asked.tp),
        ("weights", asked.weights, _is_8_bit(asked.weights) == _is_8_bit(dtype)),
        ("cached", asked.cached, _is_8_bit(asked.cached) == dtype.endswith("KV fp8")),
        ("engine", asked.engine, asked.engine in (*engines, *engine.split(), "")),
    ):
        if not has:
            raise ValueError(
                f"the source has no {what}={word} of {asked.model}; it has "
                f"{content['tp']} x {gpu}, {dtype}, {engine}"
            )


def _is_8_bit(dtype: str) -> bool:
    return dtype.startswith("fp8")
