"""Small made-up op tables whose times follow formulas that tests know."""

import itertools

import numpy as np

from evaluators.calibration.op_tables import op_tables
from evaluators.calibration.shapes import GPUS

H100 = GPUS["h100-sxm-80g"]
SIZES = (64, 256, 1024, 4096, 16384)
ROWS = (1, 8, 64, 256, 1024, 4096, 16384)


def gemm_s(m, n, k):
    return 3e-6 + 2e-15 * m * n * k + 6e-13 * n * k


def decode_s(batch, context, heads, kv_heads, head_dim):
    return 5e-6 + 1.2e-12 * batch * context * kv_heads * head_dim + 1e-9 * heads


def prefill_s(batch, length, heads, head_dim):
    return batch * heads * head_dim * (5e-15 * length * length + 1e-12 * length)


def moe_s(tokens, inter, tp, ep):
    return 2e-5 + (2e-9 * tokens + 1e-7) * inter / tp / ep


def columns(names, rows, seconds):
    found = {
        name: np.array(v)
        for name, v in zip(names, zip(*rows, strict=True), strict=True)
    }
    return {**found, "seconds": np.array([seconds(*row) for row in rows], float)}


def made_up():
    """Columns of every family on a made-up H100."""
    product = itertools.product
    layouts = [(4, 1, 128), (8, 1, 128), (16, 1, 128), (8, 2, 128), (32, 8, 128)]
    batches, contexts = (1, 4, 16, 64, 256), (2, 64, 512, 2048, 8192)
    layers = [
        (2048, 768, 8, 128, tp, ep) for tp, ep in product((1, 2, 4), (1, 2, 4, 8))
    ]
    return {
        "gemm": columns(("m", "n", "k"), list(product(ROWS, SIZES, SIZES)), gemm_s),
        "decode_attention": columns(
            ("batch", "context", "heads", "kv_heads", "head_dim"),
            [(b, c, *one) for b, c, one in product(batches, contexts, layouts)],
            decode_s,
        ),
        "prefill_attention": columns(
            ("batch", "length", "heads", "kv_heads", "head_dim"),
            [(b, c, *one) for b, c, one in product(batches, contexts, layouts)],
            lambda b, c, heads, _, dim: prefill_s(b, c, heads, dim),
        ),
        "collective": columns(
            ("op", "ranks", "elements"),
            list(product(("all_reduce", "all_gather"), (2, 4), (256, 4096, 65536))),
            lambda _, ranks, elements: 4e-6 + ranks * 1e-12 * elements,
        ),
        "moe": columns(
            (
                "tokens",
                "hidden",
                "inter",
                "topk",
                "experts",
                "tp",
                "ep",
                "distribution",
            ),
            [(t, *one, "balanced") for t, one in product(ROWS, layers)],
            lambda t, _h, inter, _k, _e, tp, ep, _d: moe_s(t, inter, tp, ep),
        ),
    }


def tables():
    return op_tables(H100, made_up())
