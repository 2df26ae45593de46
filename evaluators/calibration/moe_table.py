"""Measured times of expert layers: routed tokens through grouped products."""

import math
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.calibration.curves import (
    Columns,
    Curve,
    Floats,
    bracket,
    curve,
    groups,
    take,
)
from evaluators.calibration.shapes import GpuSheet

DONORS = 3
DONOR_SOFTNESS = 0.2
TENSOR_SHARE = 0.65
START_S = 15e-6
"""Of a layer nobody measured: how many others it is taken from and how strongly the
nearest counts, and the share of the peak and the start-up time that make the rooflines
of two layers comparable; chosen by the error on whole models left out."""


class ExpertLayer(NamedTuple):
    """Sizes of an expert layer and how it is parted over ranks."""

    hidden: int
    inter: int
    topk: int
    experts: int
    tp: int
    ep: int


Key = tuple[ExpertLayer, str]
"""A layer, and how its tokens are spread over experts."""


@dataclass(frozen=True, slots=True, eq=False)
class MoeTable:
    """Curves by tokens of a step for each (layer, distribution of tokens).

    A layer of which smaller and larger parts were measured on a rank, in width (tp) or
    in experts (ep), is on the line between them. Any other comes from the layers
    nearest to it, by the time over the roofline at the same tokens an expert, and is
    counted in ``notes``.
    """

    gpu: GpuSheet
    curves: dict[Key, Curve]
    notes: Counter[str]

    def seconds(self, tokens: Floats, layer: ExpertLayer, spread: str) -> Floats:
        """Seconds of the layer for each count of tokens.

        Raises ``ValueError`` when nothing of that distribution was measured.
        """
        own = self.curves.get((layer, spread))
        if own is not None:
            return self._read(own, tokens)
        between = self._between(tokens, layer, spread)
        return self._scaled(tokens, layer, spread) if between is None else between

    def without(self, keys: Container[Key]) -> "MoeTable":
        """The table less those layers, as if they had never been measured."""
        kept = {key: c for key, c in self.curves.items() if key not in keys}
        return MoeTable(self.gpu, kept, self.notes)

    def _between(
        self, tokens: Floats, layer: ExpertLayer, spread: str
    ) -> Floats | None:
        """The line between the measured parts of this layer next to the wanted one."""
        for axis in ("tp", "ep"):
            parts = self.parts(layer, spread, axis)
            own = 1.0 / getattr(layer, axis)
            if parts and min(parts) < own < max(parts):
                total = np.zeros(len(tokens))
                for part, share in bracket(np.array(sorted(parts)), own):
                    total += share * self._read(self.curves[parts[part]], tokens)
                return total
        return None

    def parts(self, layer: ExpertLayer, spread: str, axis: str) -> dict[float, Key]:
        """Measured layers that differ in ``axis`` only, by the part a rank holds."""
        wanted = layer._replace(**{axis: 0})
        return {
            1.0 / getattr(own, axis): (own, how)
            for own, how in self.curves
            if how == spread and own._replace(**{axis: 0}) == wanted
        }

    def _scaled(self, tokens: Floats, layer: ExpertLayer, spread: str) -> Floats:
        self.notes[f"experts {tuple(layer)}: scaled from other layers"] += 1
        known = [own for own, how in self.curves if how == spread]
        if not known:
            there = sorted({how for _, how in self.curves})
            raise ValueError(f"experts: nothing measured {spread!r}; there are {there}")
        nearest = sorted(known, key=lambda own: _distance(own, layer))[:DONORS]
        logs, weights = np.zeros(len(tokens)), 0.0
        for own in nearest:
            weight = 1 / (_distance(own, layer) + DONOR_SOFTNESS)
            ratio = self._over_roofline(tokens, own, (layer, spread))
            logs, weights = logs + weight * np.log(ratio), weights + weight
        return np.asarray(np.exp(logs / weights) * self._roofline(tokens, layer))

    def _over_roofline(self, tokens: Floats, own: ExpertLayer, wanted: Key) -> Floats:
        """Time over roofline of a donor at as many tokens an expert as wanted."""
        layer, spread = wanted
        measured = self.curves[own, spread]
        each = tokens * layer.topk / layer.experts
        sizes = measured.sizes
        ratios = measured.seconds / self._roofline(sizes, own)
        known = np.log(sizes * own.topk / own.experts)
        return np.exp(np.interp(np.log(each), known, np.log(ratios)))

    def _roofline(self, tokens: Floats, layer: ExpertLayer) -> Floats:
        width = layer.inter / layer.tp
        chosen = layer.topk / layer.experts
        active = layer.experts / layer.ep * (1 - (1 - chosen) ** tokens)
        rows = tokens * layer.topk / layer.ep
        weights = 3 * layer.hidden * width
        moved = active * weights + rows * (2 * layer.hidden + 3 * width)
        moved = 2 * (moved + 2 * tokens * layer.hidden)
        compute_s = 2 * rows * weights / (self.gpu.flops_per_s * TENSOR_SHARE)
        return np.asarray(compute_s + moved / self.gpu.bytes_per_s + START_S)

    def _read(self, measured: Curve, tokens: Floats) -> Floats:
        if not measured.reaches(tokens).all():
            self.notes[f"experts: more than {measured.sizes[-1]:.0f} tokens"] += 1
        return measured.at(tokens)


def moe_table(columns: Columns, gpu: GpuSheet, notes: Counter[str]) -> MoeTable:
    """The table of the sizes of ``ExpertLayer``, distribution, tokens and seconds."""
    curves = {}
    spreads: NDArray[np.generic] = columns["distribution"]
    for spread in np.unique(spreads).tolist():
        own = take(columns, np.asarray(spreads == spread))
        for key, rows in groups(own, ExpertLayer._fields).items():
            measured = curve(rows["tokens"], rows["seconds"])
            curves[ExpertLayer(*key), str(spread)] = measured
    return MoeTable(gpu, curves, notes)


def _distance(own: ExpertLayer, layer: ExpertLayer) -> float:
    pairs = zip(_features(own), _features(layer), strict=True)
    return sum(abs(a - b) for a, b in pairs)


def _features(layer: ExpertLayer) -> tuple[float, ...]:
    return (
        math.log(layer.hidden),
        math.log(layer.inter / layer.tp),
        math.log(layer.topk / layer.experts),
        math.log(layer.experts / layer.ep),
    )
