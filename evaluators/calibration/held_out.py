"""How well op tables predict what they did not see: the split, and its errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.calibration.attention_table import AttentionTable
from evaluators.calibration.curves import Bools, Curve, Floats, Sheet
from evaluators.calibration.gemm_table import GemmTable
from evaluators.calibration.moe_table import ExpertLayer, MoeTable
from evaluators.calibration.op_tables import OpTables

EVERY = 3
"""Of the pairs (n, k) every third is left out in turn, so that neighbours stay."""

LONGEST = 2.0
"""The longest contexts and the largest messages are those beyond 1/LONGEST of all."""


@dataclass(frozen=True, slots=True)
class ShapeError:
    """Relative errors on shapes left out: of how many, and their distribution.

    ``is_inside`` tells shapes between measured ones from those beyond them.
    """

    family: str
    left_out: str
    is_inside: bool
    points: int
    median: float
    p90: float


def shape_errors(tables: OpTables) -> list[ShapeError]:
    """Errors by family and by what was left out; needs whole shapes around them.

    A matrix's (n, k), all matrices of an n, all of a k; a layout of heads; the longest
    contexts; the largest messages of a number of ranks; an expert layer's part on a
    rank; a whole expert model; a number of heads of latent attention.
    """
    found: list[ShapeError] = []
    if tables.gemms is not None:
        found += _gemm_errors(tables.gemms)
    for family, table in tables.attention.items():
        if len(table.sheets) > 2:
            found += _layout_errors(family, table)
        found += _length_errors(family, table)
    found += _message_errors(tables)
    if tables.experts is not None:
        found += _expert_errors(tables.experts)
    return found


def _gemm_errors(table: GemmTable) -> Iterator[ShapeError]:
    ns, ks = ({key[axis] for key in table.curves} for axis in (0, 1))
    pairs = sorted(table.curves)
    folds: dict[str, list[set[tuple[float, float]]]] = {
        "pairs (n, k)": [{pair} for pair in pairs[::EVERY]],
        "all of an n": [{p for p in pairs if p[0] == n} for n in sorted(ns)],
        "all of a k": [{p for p in pairs if p[1] == k} for k in sorted(ks)],
    }
    for name, every in folds.items():
        sets = [held for held in every if len(held) < len(pairs)]
        for is_inside in (True, False):
            errors = []
            for held in sets:
                rest = table.without(held)
                errors += [
                    rest.seconds(table.curves[pair].sizes, *pair)
                    / table.curves[pair].seconds
                    - 1
                    for pair in held
                    if rest.is_inside(*pair) == is_inside
                ]
            yield from _error("gemm", name, is_inside, errors)


def _layout_errors(family: str, table: AttentionTable) -> Iterator[ShapeError]:
    inside: dict[bool, list[Floats]] = {True: [], False: []}
    for layout, own in table.sheets.items():
        rest = table.without({layout})
        if all(other.head_dim != layout.head_dim for other in rest.sheets):
            continue
        is_inside = len({s.layout for s in rest.shares(layout)}) > 1
        batch, length, seconds = _points(own)
        predicted = rest.seconds(batch, length, layout)
        inside[is_inside].append(predicted / seconds - 1)
    for is_inside, errors in inside.items():
        yield from _error(family, "a layout of heads", is_inside, errors)


def _length_errors(family: str, table: AttentionTable) -> Iterator[ShapeError]:
    errors = []
    for own in table.sheets.values():
        longest = max(float(curve.sizes[-1]) for curve in own.curves)
        kept = [_cut(curve, curve.sizes <= longest / LONGEST) for curve in own.curves]
        rest = Sheet(own.batches, tuple(kept))
        batch, length, seconds = _points(own)
        far = length > longest / LONGEST
        predicted = rest.at(batch[far], length[far])
        errors.append(predicted / seconds[far] - 1)
    yield from _error(family, "the longest contexts", False, errors)


def _message_errors(tables: OpTables) -> Iterator[ShapeError]:
    for op in sorted({op for op, _ in tables.collectives}):
        errors = []
        for (own_op, _), curve in tables.collectives.items():
            kept = np.asarray(curve.sizes <= curve.sizes[-1] / 2 / LONGEST)
            if own_op == op:
                rest = _cut(curve, kept)
                errors.append(rest.at(curve.sizes[~kept]) / curve.seconds[~kept] - 1)
        yield from _error(op, "the largest messages of a rank count", False, errors)
        yield from _error(op, "every other message size", True, _sizes(tables, op))


def _sizes(tables: OpTables, op: str) -> list[Floats]:
    errors = []
    for (own_op, _), curve in tables.collectives.items():
        held = np.arange(len(curve.sizes)) % 2 == 1
        held[-1] = False
        if own_op == op and held.any():
            rest = _cut(curve, ~held)
            errors.append(rest.at(curve.sizes[held]) / curve.seconds[held] - 1)
    return errors


def _expert_errors(table: MoeTable) -> Iterator[ShapeError]:
    inside: dict[bool, list[Floats]] = {True: [], False: []}
    whole: list[Floats] = []
    for (layer, spread), curve in table.curves.items():
        rest = table.without({(layer, spread)})
        predicted = rest.seconds(curve.sizes, layer, spread)
        inside[_is_part_between(layer, spread, rest)].append(
            predicted / curve.seconds - 1
        )
        same = {key for key in table.curves if _model(key[0]) == _model(layer)}
        others = table.without(same)
        if others.curves:
            predicted = others.seconds(curve.sizes, layer, spread)
            whole.append(predicted / curve.seconds - 1)
    for is_inside, errors in inside.items():
        yield from _error("moe", "a layer's part on a rank", is_inside, errors)
    yield from _error("moe", "a whole model", False, whole)


def _model(layer: ExpertLayer) -> tuple[int, ...]:
    return layer.hidden, layer.inter, layer.topk, layer.experts


def _is_part_between(layer: ExpertLayer, spread: str, rest: MoeTable) -> bool:
    return any(
        min(parts) < 1 / getattr(layer, axis) < max(parts)
        for axis in ("tp", "ep")
        if (parts := rest.parts(layer, spread, axis))
    )


def _points(own: Sheet) -> tuple[Floats, Floats, Floats]:
    """Batch, length and seconds of all that a sheet measured."""
    batch = [
        np.full(len(curve.sizes), one)
        for one, curve in zip(own.batches, own.curves, strict=True)
    ]
    sizes = np.concatenate([curve.sizes for curve in own.curves])
    seconds = np.concatenate([curve.seconds for curve in own.curves])
    return np.concatenate(batch), sizes, seconds


def _cut(curve: Curve, kept: Bools) -> Curve:
    return curve.cut(kept if kept.any() else np.arange(len(curve.sizes)) == 0)


def _error(
    family: str, left_out: str, is_inside: bool, errors: Sequence[Floats]
) -> Iterator[ShapeError]:
    if not errors or not sum(map(len, errors)):
        return
    every = np.abs(np.concatenate(errors))
    yield ShapeError(
        family,
        left_out,
        is_inside,
        len(every),
        float(np.median(every)),
        float(np.quantile(every, 0.9)),
    )


def table_of(errors: Sequence[ShapeError]) -> list[str]:
    """Lines of text, one for each row of errors under a heading."""
    lines = [
        "family            left out                               points  med  p90"
    ]
    for row in errors:
        where = "" if row.is_inside else " (beyond or scaled)"
        name = f"{row.left_out}{where}"
        lines.append(
            f"{row.family:<17} {name:<48} {row.points:>6} "
            f"{row.median:6.1%} {row.p90:6.1%}"
        )
    return lines
