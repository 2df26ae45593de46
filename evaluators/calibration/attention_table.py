"""Measured times of attention kernels, at any layout of heads."""

import math
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluators.calibration.curves import (
    Columns,
    Floats,
    Sheet,
    bracket,
    groups,
    sheet,
)


class Layout(NamedTuple):
    """Heads of one rank: queries, keys and values, and the size of each."""

    heads: int
    kv_heads: int
    head_dim: int

    @property
    def group(self) -> float:
        """Query heads that share a KV head."""
        return self.heads / self.kv_heads


class Share(NamedTuple):
    """A measured layout's part in the time of another one, and what its batch is."""

    layout: Layout
    weight: float
    batch_scale: float


@dataclass(frozen=True, slots=True, eq=False)
class AttentionTable:
    """Sheets by (batch, length) of whole sequences, one for each layout of heads.

    A layout that was not measured lies between those of as many KV heads, linear in
    the query heads. Where there are none around it, KV heads are taken as independent:
    a batch of b with h KV heads is a batch of b h / g with g, at the same group of
    query heads. The time of prompts is a power of their length between measured ones,
    that of decoding on a line. Whatever leaves the table is counted in ``notes``.
    """

    phase: str
    sheets: dict[Layout, Sheet]
    notes: Counter[str]

    def seconds(self, batch: Floats, length: Floats, layout: Layout) -> Floats:
        """Seconds of each (batch, length), the arrays of one shape."""
        total = np.zeros(len(batch))
        for share in self.shares(layout):
            own = self.sheets[share.layout]
            scaled = batch * share.batch_scale
            if not own.reaches(scaled, length).all():
                name = f"{self.phase} attention of {tuple(share.layout)} heads"
                self.notes[f"{name}: beyond its batches or lengths"] += 1
            total += share.weight * own.at(scaled, length)
        return total

    def shares(self, layout: Layout) -> list[Share]:
        """Measured layouts that make up ``layout``; their weights sum to one.

        Raises ``ValueError`` when no head of that size was measured.
        """
        if layout in self.sheets:
            return [Share(layout, 1.0, 1.0)]
        sized = [own for own in self.sheets if own.head_dim == layout.head_dim]
        if not sized:
            dims = sorted({own.head_dim for own in self.sheets})
            raise ValueError(
                f"{self.phase} attention: no heads of {layout.head_dim}; "
                f"measured are heads of {dims}"
            )
        same = [own for own in sized if own.kv_heads == layout.kv_heads]
        if same and _is_between(layout.heads, [own.heads for own in same]):
            return _between(layout, same, 1.0)
        self.notes[
            f"{self.phase} attention of {tuple(layout)} heads: scaled in the batch"
        ] += 1
        return self._scaled(layout, sized)

    def without(self, layouts: Container[Layout]) -> "AttentionTable":
        """The table less those layouts, as if they had never been measured."""
        kept = {own: s for own, s in self.sheets.items() if own not in layouts}
        return AttentionTable(self.phase, kept, self.notes)

    def _scaled(self, layout: Layout, sized: list[Layout]) -> list[Share]:
        same = [own for own in sized if own.group == layout.group]
        donors = same or [
            own
            for own in sized
            if _is_between(
                layout.group, [x.group for x in sized if x.kv_heads == own.kv_heads]
            )
        ]
        donors = donors or sized
        kv_heads = min(donors, key=lambda own: _far(own.kv_heads, layout)).kv_heads
        chosen = [own for own in donors if own.kv_heads == kv_heads]
        scale = layout.kv_heads / kv_heads
        found = _between(
            layout._replace(heads=round(layout.heads / scale)), chosen, scale
        )
        if len(found) > 1 or self.phase == "decode":
            return found
        ratio = layout.heads / found[0].layout.heads
        return [found[0]._replace(batch_scale=ratio)]


def attention_table(
    phase: str, columns: Columns, length: str, notes: Counter[str]
) -> AttentionTable:
    """The table of columns batch, ``length``, heads, kv_heads, head_dim and seconds."""
    parted = groups(columns, Layout._fields)
    sheets = {
        Layout(*key): sheet(rows, length, length == "length")
        for key, rows in parted.items()
    }
    return AttentionTable(phase, sheets, notes)


def _between(layout: Layout, measured: list[Layout], scale: float) -> list[Share]:
    by_heads = {float(own.heads): own for own in measured}
    around = bracket(np.array(sorted(by_heads)), layout.heads)
    return [Share(by_heads[heads], weight, scale) for heads, weight in around]


def _is_between(value: float, values: list[float] | list[int]) -> bool:
    return min(values) <= value <= max(values)


def _far(kv_heads: int, layout: Layout) -> tuple[bool, float]:
    """Fewer heads come first: their batches are larger than one, so inside."""
    return kv_heads > layout.kv_heads, abs(math.log(kv_heads / layout.kv_heads))
