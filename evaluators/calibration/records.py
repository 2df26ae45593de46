"""What a calibration is made of: its numbers, who measured them, how far to trust."""

from dataclasses import dataclass, field
from typing import Literal

from evaluators.calibration.shapes import ModelShape
from evaluators.calibration.step_time import StepTime

Status = Literal[
    "measured",
    "fitted from measured steps",
    "fitted from kernel tables",
    "published coefficients",
    "assumed roofline",
]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who measured what a calibration is made of, on what; None is not recorded."""

    who: str
    device: str | None = None
    clocks: str | None = None
    driver: str | None = None
    flags: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class StepError:
    """Relative errors of the step time by regime, or why there are none.

    ``regimes`` maps a regime to (median, 90th percentile) absolute relative error on
    steps that the fit did not see; ``reference`` says what it was held against.
    """

    regimes: dict[str, tuple[float, float]]
    reference: str


@dataclass(frozen=True, slots=True)
class Host:
    """Seconds outside steps before a request's first token, and who measured them."""

    seconds: float
    source: str


@dataclass(frozen=True, slots=True)
class Noise:
    """Relative spread (standard deviation) of a repeated step, and where from."""

    relative: float
    source: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Step-time model of one (model, GPU, engine, dtype, tensor parallelism).

    ``assumptions`` are what nobody measured. ``kv_blocks`` are what the engine had on
    this GPU, and ``kv_source`` says first whether they were measured or derived.
    ``links`` are names of copy curves by what they join. ``host`` and ``noise`` are
    None where they are not known.
    """

    name: str
    shape: ModelShape
    gpu: str
    dtype: str
    tp: int
    engine: str
    provenance: Provenance
    status: Status
    assumptions: tuple[str, ...]
    error: StepError
    kv_blocks: int
    block_tokens: int
    kv_source: str
    step_time: StepTime
    host: Host | None = None
    links: dict[str, str] = field(default_factory=dict)
    noise: Noise | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.shape.name
