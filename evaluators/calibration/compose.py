"""The kernels of a model's step, summed from op tables: what a step should take."""

from dataclasses import dataclass, replace

import numpy as np

from evaluators.calibration.attention_table import Layout
from evaluators.calibration.curves import Floats
from evaluators.calibration.layer_sums import padded
from evaluators.calibration.moe_table import ExpertLayer
from evaluators.calibration.op_tables import LATENT_DIM, OpTables
from evaluators.calibration.shapes import Experts, ModelShape

VLLM_GRAPHS = (1, 2, 4, *range(8, 256, 8), *range(256, 513, 16))
"""Batches for which vLLM captures CUDA graphs; a step is padded to the next of them."""

LAYER_KERNELS = 5  # norm + add, rope, KV write, norm + add, gate
SAMPLER_KERNELS = 2  # logits to 32 bits, and their largest
LOGIT_BYTES = 2 + 4 + 4
"""Moved for one logit by the sampler: read in 16 bits, written and read in 32."""

ACTIVATION_BYTES = 2
ROUTING = ("balanced", "power_law_1.01")
"""Tokens that choose their experts alike and independently lie between these two: an
expert layer takes the mean of those that were measured."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelSums:
    """Seconds of one rank's kernels in a step of ``model`` on ``tp`` GPUs.

    Every array has one entry a step. A mixed step is the sum of its parts, attention of
    prefills after that of decodes, less the start that they share. With ``graphs`` a
    step of at most that many tokens is padded to the next of them. The host adds
    nothing.
    """

    tables: OpTables
    model: ModelShape
    tp: int
    graphs: tuple[int, ...] = VLLM_GRAPHS

    def tokens_s(self, tokens: Floats) -> Floats:
        """All that depends on the tokens of the step only: layers without attention."""
        padded = self.padded(tokens)
        model, ops = self.model, self.tables
        dense, expert = _layer_kinds(model)
        total = np.zeros(len(padded))
        if model.latent is None:
            for matrix in model.attention_matrices(self.tp):
                total += model.layers * ops.gemm(padded, matrix.columns, matrix.rows)
        for matrix in model.ffn_layer_matrices(self.tp) if dense else ():
            total += dense * ops.gemm(padded, matrix.columns, matrix.rows)
        if model.experts is not None:
            total += expert * self._experts_s(padded, model.experts)
        moved = padded * self._elementwise_bytes()
        total += model.layers * ops.elementwise(LAYER_KERNELS, moved)
        return total + self._reductions_s(padded)

    def head_s(self, rows: Floats) -> Floats:
        """Output matrix, gathering and sampling for so many rows of logits."""
        model, ops = self.model, self.tables
        total = ops.gemm(rows, model.vocab / self.tp, model.hidden)
        if self.tp > 1:
            total = total + ops.collective("all_gather", self.tp, rows * model.vocab)
        moved = rows * model.vocab * LOGIT_BYTES
        return np.asarray(total + ops.elementwise(SAMPLER_KERNELS, moved))

    def decode_s(self, batch: Floats, context: Floats) -> Floats:
        """Attention of ``batch`` decodes that read ``context`` tokens each."""
        if self.model.latent is not None:
            heads = self.model.heads // self.tp
            once = self.tables.mla("decode", batch, context, heads)
        else:
            once = self.tables.decode_attention(batch, context, self.layout)
        return np.asarray(self.model.layers * once)

    def prefill_s(self, prefills: Floats, length: Floats, prefix: Floats) -> Floats:
        """Attention of chunks of ``length`` tokens after ``prefix`` computed ones."""
        if self.model.latent is not None:
            whole = np.sqrt(length * (length + 2 * prefix))
            heads = self.model.heads // self.tp
            once = self.tables.mla("prefill", prefills, whole, heads)
        else:
            once = self.tables.prefill_attention(prefills, length, prefix, self.layout)
        return np.asarray(self.model.layers * once)

    def start_s(self) -> float:
        """What prefill attention takes at least, which a mixed step does not pay twice.

        In a mixed step prefills and decodes are one launch of the same kernel.
        """
        one = np.ones(1)
        return float(self.prefill_s(one, one, 0 * one)[0])

    def padded(self, tokens: Floats) -> Floats:
        """Tokens that the kernels see: up to the next captured CUDA graph."""
        return padded(tokens, self.graphs)

    def without_own(self) -> "KernelSums":
        """The sums from tables that hold none of this model's own shapes."""
        model, tp = self.model, self.tp
        matrices = [*model.attention_matrices(tp), *model.ffn_layer_matrices(tp)]
        layers = []
        if model.experts is not None:
            layers = [self._expert_layer(model.experts)]
        tables = self.tables.without(
            {(float(m.columns), float(m.rows)) for m in matrices},
            {self.layout, Layout(model.heads // tp, 1, LATENT_DIM)},
            layers,
        )
        return replace(self, tables=tables)

    @property
    def layout(self) -> Layout:
        """Heads of one rank; KV heads are repeated where there are fewer than ranks."""
        model = self.model
        kv_heads = max(1, model.kv_heads // self.tp)
        return Layout(model.heads // self.tp, kv_heads, model.head_dim)

    def _experts_s(self, tokens: Floats, experts: Experts) -> Floats:
        model, ops = self.model, self.tables
        layer = self._expert_layer(experts)
        total = np.mean(
            [ops.moe(tokens, layer, how) for how in self._routing()], axis=0
        )
        total = total + ops.gemm(tokens, experts.number, model.hidden)
        if experts.shared:
            wide = experts.inter * experts.shared / self.tp
            total = total + ops.gemm(tokens, 2 * wide, model.hidden)
            total = total + ops.gemm(tokens, model.hidden, wide)
        return np.asarray(total)

    def _expert_layer(self, experts: Experts) -> ExpertLayer:
        return ExpertLayer(
            self.model.hidden, experts.inter, experts.topk, experts.number, self.tp, 1
        )

    def _routing(self) -> list[str]:
        table = self.tables.experts
        known = set() if table is None else {how for _, how in table.curves}
        return [how for how in ROUTING if how in known] or [ROUTING[0]]

    def _reductions_s(self, tokens: Floats) -> Floats:
        """All-reduces after attention, after the feed-forward, and of the embedding."""
        if self.tp == 1:
            return np.zeros(len(tokens))
        once = self.tables.collective("all_reduce", self.tp, tokens * self.model.hidden)
        return np.asarray((2 * self.model.layers + 1) * once)

    def _elementwise_bytes(self) -> float:
        """Read and written by the element-wise kernels of a layer for one token."""
        model = self.model
        kv = self.layout.kv_heads * model.head_dim
        query = self.layout.heads * model.head_dim
        wide = model.ffn / self.tp
        if model.experts is not None:
            wide = model.experts.inter * model.experts.topk / self.tp
        elements = 8 * model.hidden + 2 * (query + kv) + 4 * kv + 3 * wide
        return float(elements * ACTIVATION_BYTES)


def _layer_kinds(model: ModelShape) -> tuple[int, int]:
    """How many layers are dense, and how many have experts."""
    if model.experts is None:
        return model.layers, 0
    return model.experts.dense_layers, model.layers - model.experts.dense_layers
