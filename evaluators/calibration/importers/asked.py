"""What a calibration is asked of a source: the GPU, the model, and how it is served."""

from typing import NamedTuple


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
