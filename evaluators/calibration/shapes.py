"""What a step's cost depends on before anything is measured: model and GPU sizes."""

from dataclasses import dataclass
from typing import NamedTuple


class Matrix(NamedTuple):
    """A weight matrix that a token is multiplied with, of one tensor-parallel rank."""

    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder-only transformer, as in its config.json.

    ``ffn_matrices`` is 3 for a gated feed-forward layer (Llama) and 2 for a plain one
    (OPT). ``weight_bytes`` is per parameter and per KV element.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    ffn_matrices: int = 3
    weight_bytes: int = 2

    @property
    def kv_token_bytes(self) -> int:
        """Bytes of keys and values of one token, over all ranks."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.weight_bytes

    @property
    def layer_parameters(self) -> int:
        """Weights of one layer, biases and norms left out."""
        return sum(m.rows * m.columns for m in self.layer_matrices(1))

    @property
    def parameters(self) -> int:
        """Weights of all layers and of both embeddings, tied ones counted twice."""
        return self.layers * self.layer_parameters + 2 * self.vocab * self.hidden

    def layer_matrices(self, tp: int) -> tuple[Matrix, ...]:
        """The qkv, output, up (with gate) and down matrices of a layer on one rank."""
        query = self.heads * self.head_dim
        kv = self.kv_heads * self.head_dim
        up = (self.ffn_matrices - 1) * self.ffn
        return (
            Matrix(self.hidden, (query + 2 * kv) // tp),
            Matrix(query // tp, self.hidden),
            Matrix(self.hidden, up // tp),
            Matrix(self.ffn // tp, self.hidden),
        )


@dataclass(frozen=True, slots=True)
class GpuSheet:
    """Peak numbers of a GPU from its vendor's data sheet, dense 16-bit tensor cores."""

    name: str
    flops_per_s: float
    bytes_per_s: float
    memory_bytes: int


# Sizes are those of the published config.json files.
MODELS = {
    shape.name: shape
    for shape in (
        ModelShape("llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256),
        ModelShape("opt-13b", 40, 5120, 40, 40, 128, 20480, 50272, ffn_matrices=2),
        ModelShape("opt-66b", 64, 9216, 72, 72, 128, 36864, 50272, ffn_matrices=2),
        ModelShape("yi-34b", 60, 7168, 56, 8, 128, 20480, 64000),
    )
}

# NVIDIA data sheets: H100 SXM5 80 GB, A100 SXM4 80 GB.
GPUS = {
    sheet.name: sheet
    for sheet in (
        GpuSheet("h100-sxm-80g", 989e12, 3.35e12, 80 * 2**30),
        GpuSheet("a100-sxm-80g", 312e12, 2.039e12, 80 * 2**30),
    )
}
