"""Tables as a measurement leaves them, of times that are lines by construction."""

from evaluators.calibration.shapes import MODELS
from evaluators.kernels import provenance
from evaluators.kernels.provenance import Provenance
from evaluators.kernels.spread import Spread
from evaluators.kernels.table import Table

SHAPE = MODELS["tiny-llama"]
OWN = (SHAPE.heads, SHAPE.kv_heads, SHAPE.head_dim)
TOKENS, BATCHES, CONTEXTS = (1, 64, 512), (1, 8, 32), (16, 512, 2048)
LENGTHS, PREFIXES = (16, 512), (0, 1024)
US = 1e-6
WIDTHS = {
    "norm": SHAPE.hidden,
    "rotate": (SHAPE.heads + SHAPE.kv_heads) * SHAPE.head_dim,
    "gate": SHAPE.ffn,
    "write_kv": 2 * SHAPE.kv_heads * SHAPE.head_dim,
}


def who(**changed):
    facts = {
        "kind": "cpu",
        "device": "a processor",
        "dtype": "float32",
        "model": SHAPE.name,
        "clock": "CPU time of the process",
        "threads": 1,
        "torch": "2.13.0",
        "triton": None,
        "cuda": None,
        "driver": None,
        "memory_bytes": None,
        "units": None,
        "python": "3.11",
        "date": "2026-01-02T03:04:05+00:00",
        "commit": None,
        "command": "python -m evaluators.kernels",
        "repeats": "5 to 60",
        "gauges": {},
    }
    return Provenance(**facts | changed)


def gemm_s(m, n, k):
    return (5 + m * n * k * 1e-5) * US


def small_s(tokens, width):
    return (3 + tokens * width * 1e-3) * US


def prefill_s(length, prefix):
    return (7 + length * 0.5 + prefix * 0.25) * US


def decode_s(batch, context):
    return (11 + batch * 2 + batch * context * 0.125) * US


def rows():
    """Every table's rows by name, as (columns, [(size, seconds)])."""
    shape = SHAPE
    matrices = [(m.columns, m.rows) for m in shape.layer_matrices(1)]
    widths = WIDTHS
    sizes = [*matrices, (shape.vocab, shape.hidden)]
    return {
        "gemm": (
            ("m", "n", "k"),
            [((m, n, k), gemm_s(m, n, k)) for n, k in sizes for m in TOKENS],
        ),
        "elementwise": (
            ("operation", "tokens", "width"),
            [((o, t, w), small_s(t, w)) for o, w in widths.items() for t in TOKENS],
        ),
        "sampling": (
            ("method", "rows", "vocab"),
            [(("greedy", n, shape.vocab), small_s(n, 8)) for n in BATCHES],
        ),
        "prefill_attention": (
            ("batch", "length", "prefix", "heads", "kv_heads", "head_dim"),
            [((1, k, p, *OWN), prefill_s(k, p)) for k in LENGTHS for p in PREFIXES],
        ),
        "decode_attention": (
            ("batch", "context", "heads", "kv_heads", "head_dim"),
            [((n, c, *OWN), decode_s(n, c)) for n in BATCHES for c in CONTEXTS],
        ),
    }


def write(folder, steps=()):
    """The folder of tables; ``steps`` are (batch, seconds) of the eager mode."""
    provenance.write(folder, who())
    made = rows()
    if steps:
        names = ("mode", *steps[0][0]._fields)
        made["steps"] = (names, [(("eager", *b), s) for b, s in steps])
    for name, (columns, measured) in made.items():
        with Table(folder / f"{name}.csv", columns) as table:
            for size, seconds in measured:
                table.append(size, "some", Spread(seconds, seconds, seconds, 9), 0.0)
