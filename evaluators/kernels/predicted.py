"""Whole steps as sums of the measured kernels, held against the measured steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluators.calibration.config_json import model_shape
from evaluators.calibration.curves import Columns, Curve, Floats, Sheet, curve, sheet
from evaluators.calibration.shapes import MODELS, ModelShape
from evaluators.calibration.step_time import Batch
from evaluators.kernels import provenance
from evaluators.kernels.table import read_table

NEEDED = (
    "steps",
    "gemm",
    "elementwise",
    "sampling",
    "prefill_attention",
    "decode_attention",
)
SMALL_BATCH = 8


class Regime(NamedTuple):
    """Relative errors of the steps of one kind: how many, mean, median, worst."""

    name: str
    steps: int
    mean: float
    median: float
    worst: float


@dataclass(frozen=True, slots=True, eq=False)
class KernelTimes:
    """A model's measured kernels, as curves by their sizes."""

    shape: ModelShape
    gemm: Mapping[tuple[int, int], Curve]
    elementwise: Mapping[str, Curve]
    greedy: Curve
    prefill: tuple[Floats, tuple[Curve, ...]]
    decode: Sheet

    def step_s(self, batch: Batch) -> float:
        """Seconds of a step of equal chunks and equal contexts, by its aggregates."""
        tokens = np.array([batch.prefill_tokens + batch.decodes], float)
        rows = np.array([batch.prefills + batch.decodes], float)
        linear = sum(
            self.gemm[m.columns, m.rows].at(tokens)
            for m in self.shape.layer_matrices(1)
        )
        small = 2 * self.elementwise["norm"].at(tokens)
        for name in ("rotate", "gate", "write_kv"):
            small += self.elementwise[name].at(tokens)
        attention = self._prefill_s(batch) + self._decode_s(batch)
        head = self.gemm[self.shape.vocab, self.shape.hidden].at(rows)
        last = self.elementwise["norm"].at(tokens) + head + self.greedy.at(rows)
        return float((self.shape.layers * (linear + small + attention) + last)[0])

    def _decode_s(self, batch: Batch) -> float:
        if not batch.decodes:
            return 0.0
        mean = batch.context_tokens / batch.decodes
        each = np.array([batch.decodes], float), np.array([mean])
        return float(self.decode.at(*each)[0])

    def _prefill_s(self, batch: Batch) -> float:
        """Chunk by chunk; between measured prefixes on the line, beyond on the last."""
        if not batch.prefills:
            return 0.0
        length = batch.prefill_tokens / batch.prefills
        prefix = batch.prefill_context / batch.prefills - length
        prefixes, curves = self.prefill
        times = np.array([float(one.at(np.array(length))) for one in curves])
        return batch.prefills * float(curve(prefixes, times).at(np.array(prefix)))


def kernel_times(folder: Path) -> KernelTimes:
    """Curves of the folder's tables; ``ValueError`` when one is missing."""
    tables = {name: _table(folder, name) for name in NEEDED[1:]}
    shape = model_shape(provenance.read(folder).model)
    own = {"heads": shape.heads, "kv_heads": shape.kv_heads, "head_dim": shape.head_dim}
    prefill = _where(tables["prefill_attention"], batch=1, **own)
    prefixes = np.unique(prefill["prefix"])
    sampled = _where(tables["sampling"], method="greedy", vocab=shape.vocab)
    return KernelTimes(
        shape,
        {size: _gemm(tables["gemm"], *size) for size in _matrices(shape)},
        {
            str(name): _by(_where(tables["elementwise"], operation=name), "tokens")
            for name in np.unique(tables["elementwise"]["operation"])
        },
        _by(sampled, "rows"),
        (
            np.asarray(prefixes, float),
            tuple(_by(_where(prefill, prefix=one), "length") for one in prefixes),
        ),
        sheet(_where(tables["decode_attention"], **own), "context", is_power=False),
    )


def can_predict(folder: Path) -> bool:
    """Whether all tables that a prediction needs are there and of a known model."""
    known = provenance.read(folder).model in MODELS
    return known and all(_rows(folder, name) for name in NEEDED)


def regimes(folder: Path) -> dict[str, list[Regime]]:
    """Errors of the predicted steps by regime, for each mode of measured steps."""
    times, steps = kernel_times(folder), _table(folder, "steps")
    found = {}
    for mode in np.unique(steps["mode"]).tolist():
        own = _where(steps, mode=mode)
        batches = [Batch(*row) for row in _batches(own)]
        predicted = np.array([times.step_s(batch) for batch in batches])
        errors = np.abs(predicted / own["seconds"] - 1)
        found[str(mode)] = _by_regime(batches, errors)
    return found


def regime(batch: Batch) -> str:
    """What kind of step it is."""
    mean = batch.context_tokens / max(1, batch.decodes)
    if batch.longest_context > 1.5 * mean:
        return "decode, unequal contexts"
    if batch.prefills and batch.decodes:
        return "prefill chunk with decodes"
    if batch.prefills:
        return "prefill"
    if batch.decodes <= SMALL_BATCH:
        return f"decode, batch 1-{SMALL_BATCH}"
    return f"decode, batch above {SMALL_BATCH}"


def lines(folder: Path) -> list[str]:
    """The table of errors, or why there is none."""
    if not can_predict(folder):
        return [
            "no predicted steps: they need the tables "
            + ", ".join(NEEDED)
            + " of a model that has a name"
        ]
    head = "{:<32} {:>5} {:>7} {:>7} {:>7}".format(
        "predicted by kernels", "steps", "mean", "median", "worst"
    )
    shown = [head]
    try:
        by_mode = regimes(folder)
    except ValueError as error:  # a table that was cut short lacks a size
        return [f"no predicted steps: {error}"]
    for mode, found in by_mode.items():
        shown += [
            f"{mode + ': ' + each.name:<32} {each.steps:>5} {each.mean:>7.1%} "
            f"{each.median:>7.1%} {each.worst:>7.1%}"
            for each in found
        ]
    return shown


def _by_regime(batches: list[Batch], errors: Floats) -> list[Regime]:
    names = np.array([regime(batch) for batch in batches])
    found = []
    for name in np.unique(names).tolist():
        own = errors[names == name]
        values = float(own.mean()), float(np.median(own)), float(own.max())
        found.append(Regime(str(name), len(own), *values))
    return found


def _batches(steps: Columns) -> list[list[int]]:
    columns: list[Any] = [steps[name] for name in Batch._fields]
    rows: list[list[int]] = np.stack(columns, 1).astype(int).tolist()
    return rows


def _rows(folder: Path, name: str) -> int:
    path = folder / f"{name}.csv"
    if not path.exists():
        return 0
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def _table(folder: Path, name: str) -> dict[str, Any]:
    if not _rows(folder, name):
        raise ValueError(f"{folder} has no rows of {name}: measure it first")
    table = read_table(folder / f"{name}.csv")
    return table | {"seconds": table["seconds_p50"]}


def _where(table: Mapping[str, Any], **wanted: object) -> dict[str, Any]:
    kept = np.ones(len(table["seconds"]), bool)
    for name, value in wanted.items():
        kept &= table[name] == value
    if not kept.any():
        raise ValueError(f"no measured rows of {wanted}")
    return {name: column[kept] for name, column in table.items()}


def _by(table: Mapping[str, Any], size: str) -> Curve:
    return curve(table[size], table["seconds"])


def _gemm(table: Mapping[str, Any], n: int, k: int) -> Curve:
    return _by(_where(table, n=n, k=k), "m")


def _matrices(shape: ModelShape) -> list[tuple[int, int]]:
    layer = [(m.columns, m.rows) for m in shape.layer_matrices(1)]
    return [*layer, (shape.vocab, shape.hidden)]
