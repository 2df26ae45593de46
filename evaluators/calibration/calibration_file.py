"""The file of a calibration, version 2: read and checked, or written."""

import itertools
import json
import math
from dataclasses import asdict, fields, replace
from typing import Any, get_args

from evaluators.calibration import copy_curve
from evaluators.calibration.checks import (
    checked_keys,
    listed,
    loaded,
    one_of,
    share,
    whole,
    words,
)
from evaluators.calibration.records import (
    Calibration,
    Host,
    Noise,
    Provenance,
    Status,
    StepError,
)
from evaluators.calibration.roofline import roofline
from evaluators.calibration.shapes import (
    GPUS,
    MODELS,
    Experts,
    Latent,
    ModelShape,
    kv_bytes,
    weight_bytes,
)
from evaluators.calibration.step_time import Batch, StepTime

VERSION = 2
BLOCK_TOKENS = 16
BESIDE = {"beside_decode_ps", "beside_context_ps"}
"""Prices of prefills and decodes measured together; what a file lacks of them is 0."""

# Beyond it no table fits memory.
MOST_COUNT = 2**22

# Rounding of a file's numbers may undercut the data sheet by this much, no more.
ROUNDING = 1e-3


def parsed(name: str, text: str) -> Calibration:
    """The calibration in a file's text.

    Raises ``ValueError`` or ``TypeError`` for another version, unknown or missing keys,
    what cannot be, unknown copy curves, and a step faster than the data sheet allows.
    """
    keys = {field.name for field in fields(Calibration)} - {"name", "shape"}
    keys |= {"version", "model"}
    found = checked_keys(loaded(text), keys, "the file")
    if found["version"] != VERSION:
        raise ValueError(f"version is {found['version']!r}; expected {VERSION}")
    if found["status"] not in get_args(Status):
        raise ValueError(
            f"status is {found['status']!r}; expected one of {get_args(Status)}"
        )
    made = Calibration(
        name=name,
        **{key: words(found[key], key) for key in ("dtype", "engine", "status")},
        kv_source=_kv_source(found["kv_source"]),
        shape=_shape(found["model"], str(found["dtype"])),
        gpu=one_of(found["gpu"], GPUS, "gpu"),
        tp=whole(found["tp"], "tp"),
        provenance=_provenance(found["provenance"]),
        assumptions=tuple(
            words(x, "assumptions") for x in listed(found["assumptions"], "assumptions")
        ),
        error=_error(found["error"]),
        kv_blocks=whole(found["kv_blocks"], "kv_blocks"),
        block_tokens=whole(found["block_tokens"], "block_tokens"),
        step_time=step_time(found["step_time"]),
        host=_host(found["host"]),
        links=_links(found["links"]),
        noise=_noise(found["noise"]),
    )
    _check_floor(made)
    return made


def as_text(content: dict[str, Any]) -> str:
    """JSON text of a calibration file: sorted as given, one knot table a line."""
    table = content["step_time"]
    lines = [f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items()]
    head = json.dumps({**content, "step_time": None}, indent=2)
    body = "{\n" + ",\n".join(lines) + "\n  }"
    before, after = head.split('"step_time": null')
    return before + '"step_time": ' + body + after + "\n"


def named(shape: ModelShape) -> str | dict[str, Any]:
    """A model in a file: its name, or all its sizes where we have none of that name.

    What a cached number takes is said by the file's dtype.
    """
    known = MODELS.get(shape.name)
    is_known = known is not None and replace(shape, kv_bytes=known.kv_bytes) == known
    return shape.name if is_known else asdict(shape)


def _shape(data: object, dtype: str) -> ModelShape:
    if isinstance(data, str):
        known = MODELS[one_of(data, MODELS, "model")]
        return replace(known, kv_bytes=kv_bytes(dtype))
    keys = {field.name for field in fields(ModelShape)}
    found = checked_keys(data, keys, "model")
    for key, value in found.items():
        if key not in {"name", "experts", "latent"}:
            whole(value, f"model {key}")
    experts, latent = found.pop("experts"), found.pop("latent")
    return ModelShape(
        **found,
        experts=None if experts is None else Experts(*experts),
        latent=None if latent is None else Latent(*latent),
    )


def _provenance(data: object) -> Provenance:
    keys = {field.name for field in fields(Provenance)}
    found = checked_keys(data, keys, "provenance")
    for key, value in found.items():
        if value is not None or key == "who":
            words(value, f"provenance {key}")
    return Provenance(**found)


def _kv_source(value: object) -> str:
    text = str(words(value, "kv_source"))
    if not text.startswith(("measured: ", "derived: ")):
        raise ValueError(f"kv_source {text!r} must begin with measured: or derived:")
    return text


def _host(data: object) -> Host | None:
    if data is None:
        return None
    found = checked_keys(data, {"seconds", "source"}, "host")
    seconds = share(found["seconds"], "host seconds")
    return Host(seconds, words(found["source"], "host"))


def _noise(data: object) -> Noise | None:
    if data is None:
        return None
    found = checked_keys(data, {"relative", "source"}, "noise")
    relative = share(found["relative"], "noise relative")
    return Noise(relative, words(found["source"], "noise"))


def _links(data: object) -> dict[str, str]:
    if not isinstance(data, dict):
        raise ValueError(f"links is {type(data).__name__}; expected an object")
    known = dict.fromkeys(copy_curve.names())
    return {str(key): one_of(curve, known, "copy curve") for key, curve in data.items()}


def _error(data: object) -> StepError:
    found = checked_keys(data, {"regimes", "reference"}, "error")
    if not isinstance(told := found["regimes"], dict):
        raise ValueError(f"regimes is {told!r}; expected an object")
    regimes = {str(k): (float(m), float(w)) for k, (m, w) in told.items()}
    for name, errors in regimes.items():
        if not all(0 <= error < math.inf for error in errors):
            raise ValueError(f"error of {name} is {errors}; expected two shares from 0")
    return StepError(regimes, str(found["reference"]))


def step_time(data: object) -> StepTime:
    """The step time of a file's tables; ``ValueError`` names the one at fault."""
    keys = {field.name for field in fields(StepTime)}
    if isinstance(data, dict):
        keys -= BESIDE - data.keys()
    found = checked_keys(data, keys, "step_time")
    made: dict[str, Any] = {}
    for key, value in found.items():
        if key == "context_knots":
            made[key] = tuple(whole(edge, key, 0) for edge in listed(value, key))
        elif key == "context_ps":
            made[key] = tuple(expanded(table, key) for table in listed(value, key))
        elif key in {"tokens_ps", "decodes_ps"}:
            made[key] = expanded(value, key)
        else:
            made[key] = whole(value, key, 0)
    return StepTime(**made)


def expanded(knots: Any, name: str) -> tuple[int, ...]:  # noqa: ANN401 (from JSON)
    """Table with an entry for each count from 0 to the last knot, in integers.

    Knots are [count, picoseconds], counts ascending from 0; between two knots the
    table is linear, rounded down. Raises ``ValueError`` naming the knot at fault.
    """
    if not isinstance(knots, list) or not all(_is_pair(knot) for knot in knots):
        raise ValueError(f"{name} must be a list of knots [count, picoseconds]")
    points = [(whole(x, name, 0), whole(y, name, 0)) for x, y in knots]
    if not points or points[0][0] != 0:
        raise ValueError(f"{name}: the first knot must be at count 0")
    if points[-1][0] > MOST_COUNT:
        raise ValueError(f"{name}: knot at count {points[-1][0]} is after {MOST_COUNT}")
    table = [points[0][1]]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x1 <= x0:
            raise ValueError(f"{name}: knot at count {x1} comes after {x0}")
        steps = range(1, x1 - x0 + 1)
        table += [y0 + (y1 - y0) * step // (x1 - x0) for step in steps]
    return tuple(table)


def _is_pair(knot: object) -> bool:
    return isinstance(knot, list) and len(knot) == 2


def _check_floor(made: Calibration) -> None:
    """Raise ``ValueError`` when a step is faster than the GPU's data sheet allows."""
    floor = floor_of(made)
    for batch in _probes(made.step_time.context_knots):
        own, least = made.step_time.duration_ps(batch), floor.duration_ps(batch)
        if own < least * (1 - ROUNDING):
            raise ValueError(
                f"{batch} takes {own} ps, faster than the {least} ps that "
                f"{made.tp} x {made.gpu} allows"
            )


def floor_of(made: Calibration) -> StepTime:
    """The least that a step can take: the roofline of its model, GPU and dtype."""
    width, cached = weight_bytes(made.dtype), kv_bytes(made.dtype)
    model = replace(made.shape, weight_bytes=width, kv_bytes=cached)
    return roofline(model, GPUS[made.gpu], made.tp)


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
