"""What a step's cost depends on before anything is measured: model and GPU sizes."""

from dataclasses import dataclass
from typing import NamedTuple


class Matrix(NamedTuple):
    """A weight matrix that a token is multiplied with, of one tensor-parallel rank."""

    rows: int
    columns: int


class Experts(NamedTuple):
    """The expert layers of a model: of ``number`` experts a token takes ``topk``.

    ``inter`` is an expert's width; ``shared`` experts serve every token; the first
    ``dense_layers`` layers have none and use the model's ``ffn`` instead.
    """

    number: int
    topk: int
    inter: int
    shared: int = 0
    dense_layers: int = 0


class Latent(NamedTuple):
    """Latent attention as in DeepSeek-V2: ranks of what queries and KV pass through.

    A token's cache is ``kv_rank`` + ``rope_dim`` elements a layer, on every rank.
    """

    query_rank: int
    kv_rank: int
    rope_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder-only transformer, as in its config.json.

    ``ffn_matrices`` is 3 for a gated feed-forward layer (Llama) and 2 for a plain one
    (OPT). ``weight_bytes`` is per parameter, ``kv_bytes`` per KV element.
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
    kv_bytes: int = 2
    experts: Experts | None = None
    latent: Latent | None = None

    @property
    def kv_token_bytes(self) -> int:
        """Bytes that a cache keeps of one token, over all ranks."""
        if self.latent is not None:
            width = self.latent.kv_rank + self.latent.rope_dim
            return self.layers * width * self.kv_bytes
        return 2 * self.layers * self.kv_heads * self.head_dim * self.kv_bytes

    @property
    def layer_parameters(self) -> int:
        """Weights of one layer, biases and norms left out; experts all counted."""
        attention = sum(m.rows * m.columns for m in self.attention_matrices(1))
        if self.experts is None:
            return attention + self.ffn_matrices * self.hidden * self.ffn
        count = self.experts.number + self.experts.shared
        router = self.hidden * self.experts.number
        return attention + router + 3 * count * self.hidden * self.experts.inter

    @property
    def parameters(self) -> int:
        """Weights of all layers and of both embeddings, tied ones counted twice."""
        whole = self.layers * self.layer_parameters + 2 * self.vocab * self.hidden
        if self.experts is None or not self.experts.dense_layers:
            return whole
        attention = sum(m.rows * m.columns for m in self.attention_matrices(1))
        dense = attention + self.ffn_matrices * self.hidden * self.ffn
        return whole + self.experts.dense_layers * (dense - self.layer_parameters)

    def attention_matrices(self, tp: int) -> tuple[Matrix, ...]:
        """Of a layer's attention on one rank: qkv and output, or latent ones."""
        if self.latent is not None:
            return self._latent_matrices(self.latent, tp)
        query = self.heads * self.head_dim
        kv = self.kv_heads * self.head_dim
        return (
            Matrix(self.hidden, (query + 2 * kv) // tp),
            Matrix(query // tp, self.hidden),
        )

    def ffn_layer_matrices(self, tp: int) -> tuple[Matrix, ...]:
        """The up (with gate) and down matrices of a dense layer on one rank."""
        up = (self.ffn_matrices - 1) * self.ffn
        return Matrix(self.hidden, up // tp), Matrix(self.ffn // tp, self.hidden)

    def layer_matrices(self, tp: int) -> tuple[Matrix, ...]:
        """Every matrix that each token meets in a layer on one rank.

        Of experts these are the fewest that one step can meet: ``topk`` and the shared
        ones, each as a matrix of its own.
        """
        attention = self.attention_matrices(tp)
        if self.experts is None:
            return attention + self.ffn_layer_matrices(tp)
        wide = self.experts.inter * (self.experts.topk + self.experts.shared)
        met = Matrix(self.hidden, 2 * wide // tp), Matrix(wide // tp, self.hidden)
        return attention + met

    def _latent_matrices(self, latent: Latent, tp: int) -> tuple[Matrix, ...]:
        heads = self.heads // tp
        width = self.head_dim + latent.rope_dim
        into = latent.query_rank + latent.kv_rank + latent.rope_dim
        return (
            Matrix(self.hidden, into),
            Matrix(latent.query_rank, heads * width),
            Matrix(latent.kv_rank, heads * (self.head_dim + latent.value_dim)),
            Matrix(heads * latent.value_dim, self.hidden),
        )


@dataclass(frozen=True, slots=True)
class GpuSheet:
    """Peak numbers of a GPU from its vendor's data sheet, dense tensor cores.

    ``flops_per_s`` is for 16 bits, ``eight_bit_flops_per_s`` for 8-bit floats, 0 where
    the GPU has none.
    """

    name: str
    flops_per_s: float
    bytes_per_s: float
    memory_bytes: int
    eight_bit_flops_per_s: float = 0.0

    def peak_flops_per_s(self, weight_bytes: int) -> float:
        """Peak of products with weights of that many bytes."""
        eight_bit = self.eight_bit_flops_per_s if weight_bytes == 1 else 0.0
        return eight_bit or self.flops_per_s


def kv_bytes(dtype: str) -> int:
    """Bytes of a cached number of a dtype such as ``fp8 weights, KV fp8``."""
    return 1 if dtype.endswith("KV fp8") else 2


def weight_bytes(dtype: str) -> int:
    """Bytes of a weight of a dtype such as ``fp8 weights, KV bfloat16``."""
    return 1 if dtype.startswith(("fp8", "int8", "8 bits")) else 2


# Sizes are those of the published config.json files.
MODELS = {
    shape.name: shape
    for shape in (
        ModelShape("llama-2-7b", 32, 4096, 32, 32, 128, 11008, 32000),
        ModelShape("llama-2-70b", 80, 8192, 64, 8, 128, 28672, 32000),
        ModelShape("llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256),
        ModelShape("llama-3.1-70b", 80, 8192, 64, 8, 128, 28672, 128256),
        ModelShape("mistral-7b", 32, 4096, 32, 8, 128, 14336, 32000),
        ModelShape("qwen2.5-7b", 28, 3584, 28, 4, 128, 18944, 152064),
        ModelShape("qwen3-32b", 64, 5120, 64, 8, 128, 25600, 151936),
        ModelShape(
            "qwen3-30b-a3b",
            *(48, 2048, 32, 4, 128, 6144, 151936),
            experts=Experts(128, 8, 768),
        ),
        ModelShape(
            "mixtral-8x7b",
            *(32, 4096, 32, 8, 128, 14336, 32000),
            experts=Experts(8, 2, 14336),
        ),
        ModelShape(
            "deepseek-v3",
            *(61, 7168, 128, 128, 128, 18432, 129280),
            experts=Experts(256, 8, 2048, shared=1, dense_layers=3),
            latent=Latent(1536, 512, 64, 128),
        ),
        ModelShape(
            "tiny-llama", *(2, 128, 1, 1, 64, 352, 1024), weight_bytes=4, kv_bytes=4
        ),
        ModelShape("opt-13b", 40, 5120, 40, 40, 128, 20480, 50272, ffn_matrices=2),
        ModelShape("opt-66b", 64, 9216, 72, 72, 128, 36864, 50272, ffn_matrices=2),
        ModelShape("yi-34b", 60, 7168, 56, 8, 128, 20480, 64000),
    )
}

# Processors: one core, as kernels are measured on one thread. No core of an EPYC does
# more than 64 operations of 32 bits in a cycle, nor reads more than 32 bytes of its L3.
CPUS = {
    sheet.name: sheet for sheet in (GpuSheet("epyc-core", 256e9, 128e9, 2 * 2**30),)
}

# NVIDIA's data sheets of the named boards. An RTX 4090 clocks beyond the 2.52 GHz of
# its sheet: its peak here is that of 2.76 GHz. h100-64g is MareNostrum 5's.
GPUS = CPUS | {
    sheet.name: sheet
    for sheet in (
        GpuSheet("h100-sxm-80g", 989e12, 3.35e12, 80 * 2**30, 1978e12),
        GpuSheet("h100-64g", 989e12, 2.02e12, 64 * 2**30, 1978e12),
        GpuSheet("h200-sxm-141g", 989e12, 4.8e12, 141 * 10**9, 1978e12),
        GpuSheet("a100-sxm-80g", 312e12, 2.039e12, 80 * 2**30),
        GpuSheet("b200-sxm-180g", 2250e12, 7.7e12, 180 * 2**30, 4500e12),
        GpuSheet("l40s-48g", 362.05e12, 0.864e12, 48305799168, 733e12),
        GpuSheet("rtx-pro-6000-96g", 503.8e12, 1.597e12, 96 * 2**30, 1007.6e12),
        GpuSheet("rtx-4090-24g", 181e12, 1.008e12, 24 * 2**30, 330.3e12),
    )
}


def known_model(name: str) -> ModelShape:
    """The shape of that name; raises ``ValueError`` listing those there are."""
    if name not in MODELS:
        raise ValueError(f"no sizes of model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]
