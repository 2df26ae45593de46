"""Op tables: measured kernel times of one (GPU, engine, dtype), at any shape."""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

import numpy as np

from evaluators.calibration.attention_table import (
    AttentionTable,
    Layout,
    attention_table,
)
from evaluators.calibration.curves import Columns, Curve, Floats, curve, groups, take
from evaluators.calibration.gemm_table import GemmTable, gemm_table
from evaluators.calibration.moe_table import ExpertLayer, MoeTable, moe_table
from evaluators.calibration.shapes import GpuSheet

COLUMNS = {
    "gemm": ("m", "n", "k"),
    "prefill_attention": ("batch", "length", *Layout._fields),
    "decode_attention": ("batch", "context", *Layout._fields),
    "collective": ("op", "ranks", "elements"),
    "moe": ("tokens", *ExpertLayer._fields, "distribution"),
    "mla_prefill": ("batch", "length", "heads"),
    "mla_decode": ("batch", "context", "heads"),
}
"""Of each family of tables, beside ``seconds``. ``heads`` are those of one rank,
``elements`` what each rank holds before an all-reduce and after an all-gather."""

# AIConfigurator's corrections for element-wise kernels, the same on each system.
ELEMENTWISE_START_S = 3e-6
ELEMENTWISE_BANDWIDTH = 0.8

PREFIX_PAIR = 0.8
"""What a pair with a computed key takes, against one of a whole prompt, half of whose
tiles on the diagonal are wasted; chosen on LLMServingSim's table of Llama-3.1-8B on an
RTX PRO 6000, where it errs by up to 12 % from 256 tokens a chunk on."""

LATENT_DIM = 1
"""Stands for the one head size of a table of latent attention."""


@dataclass(frozen=True, slots=True, eq=False)
class OpTables:
    """Kernel times in seconds, from measured tables; arrays in, arrays out.

    ``columns`` are the tables themselves, by family, as ``COLUMNS`` names them.
    ``notes`` counts by name every use of a time that no table holds: extrapolation,
    and shapes that stand in for another. A family without a table raises
    ``ValueError`` when it is asked for.
    """

    gpu: GpuSheet
    columns: Mapping[str, Columns]
    gemms: GemmTable | None
    attention: Mapping[str, AttentionTable]
    collectives: Mapping[tuple[str, int], Curve]
    experts: MoeTable | None
    notes: Counter[str]

    def gemm(self, m: Floats, n: float, k: float) -> Floats:
        """Seconds of x (m, k) times w (k, n) for each m."""
        if self.gemms is None:
            raise ValueError(_missing("gemm"))
        return self.gemms.seconds(m, n, k)

    def prefill_attention(
        self, batch: Floats, length: Floats, prefix: Floats, layout: Layout
    ) -> Floats:
        """Seconds for chunks of ``length`` tokens after ``prefix`` computed ones.

        Only whole prompts are tabulated. A chunk takes the time of a whole prompt of as
        many pairs of a query and a key, those with the prefix at ``PREFIX_PAIR``, and
        at least what reading its keys takes in decoding. This is counted in ``notes``.
        """
        table = self._phase("prefill_attention")
        whole = np.sqrt(length * (length + 2 * PREFIX_PAIR * prefix))
        seconds = table.seconds(batch, whole, layout)
        after = prefix > 0
        if not after.any():
            return seconds
        self.notes["prefill attention after a prefix: from whole prompts"] += 1
        keys = length[after] + prefix[after]
        least = self.decode_attention(batch[after], keys, layout)
        seconds[after] = np.maximum(seconds[after], least)
        return seconds

    def decode_attention(
        self, batch: Floats, context: Floats, layout: Layout
    ) -> Floats:
        """Seconds for one token of each of ``batch`` requests of ``context`` tokens."""
        return self._phase("decode_attention").seconds(batch, context, layout)

    def collective(self, op: str, ranks: int, elements: Floats) -> Floats:
        """Seconds of ``all_reduce`` or ``all_gather`` of 16-bit elements."""
        measured = self.collectives.get((op, ranks))
        if measured is None:
            there = sorted(self.collectives)
            raise ValueError(f"no {op} of {ranks} ranks measured; there are {there}")
        if not measured.reaches(elements).all():
            self.notes[f"{op} of {ranks} ranks: larger than measured"] += 1
        return measured.at(elements)

    def moe(
        self, tokens: Floats, layer: ExpertLayer, distribution: str = "balanced"
    ) -> Floats:
        """Seconds of an expert layer without its router and its shared experts."""
        if self.experts is None:
            raise ValueError(_missing("moe"))
        return self.experts.seconds(tokens, layer, distribution)

    def mla(self, phase: str, batch: Floats, length: Floats, heads: int) -> Floats:
        """Seconds of a layer's latent attention with its projections.

        ``phase`` is ``prefill`` or ``decode``; ``length`` the prompt or the context.
        """
        layout = Layout(heads, 1, LATENT_DIM)
        return self._phase(f"mla_{phase}").seconds(batch, length, layout)

    def elementwise(self, n_kernels: int, moved_bytes: Floats) -> Floats:
        """Seconds of kernels that only move bytes, by AIConfigurator's corrections."""
        bandwidth = self.gpu.bytes_per_s * ELEMENTWISE_BANDWIDTH
        return np.asarray(n_kernels * ELEMENTWISE_START_S + moved_bytes / bandwidth)

    def without(
        self,
        matrices: Container[tuple[float, float]] = (),
        layouts: Container[Layout] = (),
        layers: Container[ExpertLayer] = (),
    ) -> "OpTables":
        """The tables as if those shapes had never been measured, with notes anew."""
        notes: Counter[str] = Counter()
        attention = {
            family: replace(table.without(layouts), notes=notes)
            for family, table in self.attention.items()
        }
        gemms, experts = self.gemms, self.experts
        if gemms is not None:
            gemms = replace(gemms.without(matrices), notes=notes)
        if experts is not None:
            own = {key for key in experts.curves if key[0] in layers}
            experts = replace(experts.without(own), notes=notes)
        return replace(
            self, gemms=gemms, attention=attention, experts=experts, notes=notes
        )

    def _phase(self, family: str) -> AttentionTable:
        found = self.attention.get(family)
        if found is None:
            raise ValueError(_missing(family))
        return found


def op_tables(gpu: GpuSheet, columns: Mapping[str, Columns]) -> OpTables:
    """The tables of those columns, by family; families may be missing.

    Raises ``ValueError`` naming the family and the fault: an unknown family, a
    missing column, no rows, or times that are not positive numbers.
    """
    for family, table in columns.items():
        check(family, table)
    notes: Counter[str] = Counter()
    attention = {
        family: _attention(family, columns[family], notes)
        for family in COLUMNS
        if "batch" in COLUMNS[family] and family in columns
    }
    gemms, experts = columns.get("gemm"), columns.get("moe")
    return OpTables(
        gpu=gpu,
        columns=columns,
        gemms=None if gemms is None else gemm_table(gemms, notes),
        attention=attention,
        collectives=_collectives(columns.get("collective")),
        experts=None if experts is None else moe_table(experts, gpu, notes),
        notes=notes,
    )


def check(family: str, table: Columns) -> None:
    """Raise ``ValueError`` when a table cannot be one of that family."""
    if family not in COLUMNS:
        raise ValueError(f"no family of tables {family!r}; there are {list(COLUMNS)}")
    missing = {*COLUMNS[family], "seconds"} - table.keys()
    if missing:
        raise ValueError(f"{family}: no column {', '.join(sorted(missing))}")
    seconds = np.asarray(table["seconds"], float)
    if not len(seconds):
        raise ValueError(f"{family}: no rows")
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise ValueError(f"{family}: seconds must be positive numbers")


def _attention(family: str, table: Columns, notes: Counter[str]) -> AttentionTable:
    length = "context" if "context" in COLUMNS[family] else "length"
    if family.startswith("mla"):
        ones = np.ones(len(table["seconds"]), np.int64)
        table = {**table, "kv_heads": ones, "head_dim": ones * LATENT_DIM}
    return attention_table(family.replace("_attention", ""), table, length, notes)


def _collectives(table: Columns | None) -> dict[tuple[str, int], Curve]:
    if table is None:
        return {}
    found = {}
    for op in np.unique(table["op"]).tolist():
        own = take(table, np.asarray(table["op"] == op))
        for (ranks,), rows in groups(own, ("ranks",)).items():
            found[str(op), ranks] = curve(rows["elements"], rows["seconds"])
    return found


def _missing(family: str) -> str:
    return f"no {family} table; import one that has {', '.join(COLUMNS[family])}"
