"""A calibration: the step time of one model on one GPU, and how far to trust it."""

import itertools
import json
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any, Literal, cast, get_args

from evaluators.calibration.roofline import roofline
from evaluators.calibration.shapes import GPUS, MODELS
from evaluators.calibration.step_time import Batch, StepTime

Status = Literal[
    "measured",
    "fitted from kernel tables",
    "published coefficients",
    "assumed roofline",
]

ASSUMED = "roofline:"
BLOCK_TOKENS = 16
MEMORY_SHARE = 0.9  # vLLM's default gpu_memory_utilization

# Rounding of a file's numbers may undercut the data sheet by this much, no more.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class StepError:
    """Relative errors of the step time by regime, or why there are none.

    ``regimes`` maps a regime to (mean, worst) absolute relative error on held-out
    points; ``reference`` says what the step time was held against.
    """

    regimes: dict[str, tuple[float, float]]
    reference: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Step-time model of one (model, GPU, engine, dtype, tensor parallelism).

    ``source`` says who measured what, when, and in which files; ``assumptions`` what
    nobody measured. ``kv_blocks`` are what the engine had on this GPU, and
    ``kv_source`` says whether they were measured or derived.
    """

    name: str
    model: str
    gpu: str
    dtype: str
    tp: int
    engine: str
    source: str
    status: Status
    assumptions: tuple[str, ...]
    error: StepError
    kv_blocks: int
    block_tokens: int
    kv_source: str
    step_time: StepTime


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
        return _build(name, json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"calibration {name}: {error}; there are {', '.join(names())}"
        ) from error


def _assumed(name: str) -> Calibration:
    parts = name.removeprefix(ASSUMED).split(":")
    if len(parts) != 3 or not parts[2].isdecimal() or parts[2] == "0":
        raise ValueError(f"calibration {name!r} is not {ASSUMED}MODEL:GPU:TP")
    model, gpu = (
        MODELS[_one_of(parts[0], MODELS, "model")],
        GPUS[_one_of(parts[1], GPUS, "gpu")],
    )
    tp = int(parts[2])
    free = MEMORY_SHARE * gpu.memory_bytes * tp - model.parameters * model.weight_bytes
    blocks = int(free // (BLOCK_TOKENS * model.kv_token_bytes))
    return Calibration(
        name=name,
        model=model.name,
        gpu=gpu.name,
        dtype=f"{8 * model.weight_bytes} bits",
        tp=tp,
        engine="none",
        source="config.json of the model and data sheet of the GPU",
        status="assumed roofline",
        assumptions=(
            "Every operation reaches the data sheet's peak; nothing else costs.",
        ),
        error=StepError({}, "none: nobody has measured it"),
        kv_blocks=_whole(blocks, f"{name}: kv_blocks that fit"),
        block_tokens=BLOCK_TOKENS,
        kv_source="derived: 0.9 of the memory less the weights",
        step_time=roofline(model, gpu, tp),
    )


def _build(name: str, data: object) -> Calibration:
    keys = {field.name for field in fields(Calibration)} - {"name"}
    found = _checked_keys(data, keys, "the file")
    texts = ("dtype", "engine", "source", "status", "kv_source")
    if found["status"] not in get_args(Status):
        raise ValueError(
            f"status is {found['status']!r}; expected one of {get_args(Status)}"
        )
    made = Calibration(
        name=name,
        **{key: found[key] for key in texts},
        model=_one_of(found["model"], MODELS, "model"),
        gpu=_one_of(found["gpu"], GPUS, "gpu"),
        tp=_whole(found["tp"], "tp"),
        assumptions=tuple(found["assumptions"]),
        error=_error(found["error"]),
        kv_blocks=_whole(found["kv_blocks"], "kv_blocks"),
        block_tokens=_whole(found["block_tokens"], "block_tokens"),
        step_time=_step_time(found["step_time"]),
    )
    _check_floor(made)
    return made


def _error(data: object) -> StepError:
    found = _checked_keys(data, {"regimes", "reference"}, "error")
    regimes = {str(k): (float(m), float(w)) for k, (m, w) in found["regimes"].items()}
    return StepError(regimes, str(found["reference"]))


def _step_time(data: object) -> StepTime:
    keys = {field.name for field in fields(StepTime)}
    found = _checked_keys(data, keys, "step_time")
    made: dict[str, Any] = {}
    for key, value in found.items():
        if key == "context_knots":
            made[key] = tuple(_whole(edge, key, 0) for edge in _listed(value, key))
        elif key == "context_ps":
            made[key] = tuple(expanded(table, key) for table in _listed(value, key))
        elif key in {"tokens_ps", "decodes_ps"}:
            made[key] = expanded(value, key)
        else:
            made[key] = _whole(value, key, 0)
    return StepTime(**made)


def _listed(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, with one entry for each context knot")
    return value


def expanded(knots: Any, name: str) -> tuple[int, ...]:  # noqa: ANN401 (from JSON)
    """Table with an entry for each count from 0 to the last knot, in integers.

    Knots are [count, picoseconds], counts ascending from 0; between two knots the
    table is linear, rounded down. Raises ``ValueError`` naming the knot at fault.
    """
    if not isinstance(knots, list) or not all(_is_pair(knot) for knot in knots):
        raise ValueError(f"{name} must be a list of knots [count, picoseconds]")
    whole = [(_whole(x, name, 0), _whole(y, name, 0)) for x, y in knots]
    if not whole or whole[0][0] != 0:
        raise ValueError(f"{name}: the first knot must be at count 0")
    table = [whole[0][1]]
    for (x0, y0), (x1, y1) in itertools.pairwise(whole):
        if x1 <= x0:
            raise ValueError(f"{name}: knot at count {x1} comes after {x0}")
        steps = range(1, x1 - x0 + 1)
        table += [y0 + (y1 - y0) * step // (x1 - x0) for step in steps]
    return tuple(table)


def _is_pair(knot: object) -> bool:
    return isinstance(knot, list) and len(knot) == 2


def _check_floor(made: Calibration) -> None:
    """Raise ``ValueError`` when a step is faster than the GPU's data sheet allows."""
    floor = roofline(MODELS[made.model], GPUS[made.gpu], made.tp)
    for batch in _probes(made.step_time.context_knots):
        own, least = made.step_time.duration_ps(batch), floor.duration_ps(batch)
        if own < least * (1 - ROUNDING):
            raise ValueError(
                f"{batch} takes {own} ps, faster than the {least} ps that "
                f"{made.tp} x {made.gpu} allows"
            )


def _probes(knots: tuple[int, ...]) -> list[Batch]:
    prefills = (0, 16, 512, 2048, 8192)
    decodes = [(0, 0), (1, 64), (8, 1024), (64, 1024), (96, 4096), (256, 512)]
    beyond = [*knots[1:], 2 * knots[-1]] if len(knots) > 1 else []
    decodes += [(n, context) for n in (1, 64) for context in beyond]
    return [
        Batch(k, k**2, n, n * context, context if n else 0, int(k > 0), k)
        for k in prefills
        for n, context in decodes
        if k + n
    ]


def _checked_keys(data: object, keys: set[str], where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {type(data).__name__}; expected an object")
    found = cast("dict[str, Any]", data)
    for what, wrong in (
        ("unknown", found.keys() - keys),
        ("missing", keys - found.keys()),
    ):
        if wrong:
            raise ValueError(f"{what} keys in {where}: {', '.join(sorted(wrong))}")
    return found


def _one_of(value: object, known: dict[str, Any], what: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{what} {value!r} has no sheet; known are {sorted(known)}")
    return value


def _whole(value: object, name: str, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}; expected an integer, {least} or more")
    return value
