"""Steps summed from layers that were profiled inside an engine, for one model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from evaluators.calibration.curves import Curve, Floats, Sheet, thinned

HELD_OUT = 3
"""For an error, every third size of a table is left out, the ends kept."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerSums:
    """Seconds of a step by its parts, from tables of one model on one rank.

    ``tokens`` are curves by tokens of a step and how often a step runs each; ``rows``
    curves by rows of logits. ``decodes`` and ``chunks`` are sheets of one layer's
    attention: by decodes and context, and by prefix and chunk. Several chunks of a step
    are one after the other, their start paid once.
    """

    tokens: Mapping[str, tuple[float, Curve]]
    rows: Mapping[str, Curve]
    decodes: Sheet
    chunks: Sheet
    layers: int
    graphs: tuple[int, ...] = ()

    def tokens_s(self, tokens: Floats) -> Floats:
        """All that depends on the tokens of the step only."""
        padded = self._padded(tokens)
        parts = [times * curve.at(padded) for times, curve in self.tokens.values()]
        return np.asarray(np.sum(parts, axis=0))

    def head_s(self, rows: Floats) -> Floats:
        """Output matrix and sampler for so many rows of logits."""
        return np.asarray(np.sum([c.at(rows) for c in self.rows.values()], axis=0))

    def decode_s(self, batch: Floats, context: Floats) -> Floats:
        """Attention of decodes of equal contexts."""
        return self.layers * self.decodes.at(batch, context)

    def prefill_s(self, prefills: Floats, length: Floats, prefix: Floats) -> Floats:
        """Attention of equal chunks after equal prefixes."""
        once = self.layers * self.chunks.at(prefix, length)
        return np.asarray(prefills * once - (prefills - 1) * self.start_s())

    def start_s(self) -> float:
        """What the smallest chunk takes."""
        return self.layers * float(self.chunks.curves[0].seconds[0])

    def without_own(self) -> "LayerSums":
        """The sums of tables that lack every third size, batch and context."""
        return replace(
            self,
            tokens={
                name: (times, _thin(curve))
                for name, (times, curve) in self.tokens.items()
            },
            rows={name: _thin(curve) for name, curve in self.rows.items()},
            decodes=_thin_sheet(self.decodes),
            chunks=_thin_sheet(self.chunks),
        )

    def _padded(self, tokens: Floats) -> Floats:
        return padded(tokens, self.graphs)


def padded(tokens: Floats, graphs: tuple[int, ...]) -> Floats:
    """Tokens that kernels see: up to the next captured CUDA graph, if any is."""
    if not graphs:
        return tokens
    known = np.array(graphs, float)
    index = np.searchsorted(known, tokens)
    next_one = known[np.minimum(index, len(known) - 1)]
    return np.where(index < len(known), next_one, tokens)


def _thin(curve: Curve) -> Curve:
    return curve.cut(thinned(len(curve.sizes), HELD_OUT))


def _thin_sheet(sheet: Sheet) -> Sheet:
    kept = np.flatnonzero(thinned(len(sheet.batches), HELD_OUT))
    return Sheet(sheet.batches[kept], tuple(_thin(sheet.curves[i]) for i in kept))
