"""Our Triton kernels without a GPU: run by its interpreter, compiled for sm_90."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

RUN = """
import torch
from evaluators.kernels import elementwise, fused_triton, paged, paged_triton
from evaluators.kernels.bench import Effort, bench
from evaluators.kernels.decode_attention import _error

b = bench("cpu", Effort(2, 3, 0.001))
cases = (
    ([100] * 3, 8, 2, 64, 4),
    ([1, 17, 300, 64, 65], 8, 8, 32, 132),
    ([513, 5], 14, 2, 128, 132),
)
for contexts, heads, kv_heads, dim, units in cases:
    at = paged.pages(b, contexts, first=3, is_scattered=True)
    size = (paged.n_pages(contexts) + 3, 16, kv_heads, dim)
    key, value = b.random(*size), b.random(*size)
    query = b.random(len(at.tokens), heads + 3, dim)[:, 1 : 1 + heads]
    decode = paged_triton.plan(at, heads, kv_heads, units)
    assert _error(at, decode(query, key, value), query, key, value) < 1e-5, contexts
    at.table[0, 0] = 0
    assert _error(at, decode(query, key, value * 1.01), query, key, value) > 1e-3

x, residual, weight = b.random(5, 100), b.random(5, 100), b.random(100)
again = residual.clone()
assert torch.allclose(
    fused_triton.norm(x, residual, weight, 1e-5),
    elementwise.norm(x, again, weight),
    atol=1e-5,
)
assert torch.equal(residual, again)
turned = b.random(5, 6 * 16)
same = turned.clone()
cosines, sines = elementwise.angles(torch.arange(5), 8)
fused_triton.rotate(turned, cosines, sines, 4)
elementwise.rotate(same, cosines, sines, 4)
assert torch.allclose(turned, same, atol=1e-6)
wide = b.random(5, 2 * 1500)
assert torch.allclose(fused_triton.gate(wide), elementwise.gate(wide), atol=1e-5)
"""

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from evaluators.kernels import fused_triton, paged_triton


def compiled(kernel, types, constants, **options):
    at = kernel.arg_names.index
    source = ASTSource(
        fn=kernel,
        signature={**types, **dict.fromkeys(constants, "constexpr")},
        constexprs={(at(name),): value for name, value in constants.items()},
    )
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert made.asm["cubin"]
    return made.asm["ptx"]


b, f, i = "*bf16", "*fp32", "i32"
for group, dim, slices in ((4, 128, 16), (8, 128, 64), (1, 128, 1)):
    ptx = compiled(
        paged_triton._slice,
        dict(query=b, key=b, value=b, table="*i32", lengths="*i32", partial=f, tops=f,
             sums=f, query_stride=i, table_stride=i),
        dict(kv_heads=8, group=group, dim=dim, rows=16, slices=slices),
        num_warps=4, num_stages=3,
    )
    assert "mma" in ptx
    compiled(
        paged_triton._join,
        dict(partial=f, tops=f, sums=f, output=b),
        dict(dim=dim, slices=slices, width=triton.next_power_of_2(slices)),
    )
compiled(
    fused_triton._norm,
    dict(x=b, residual=b, weight=b, output=b, width=i, eps="fp32"),
    dict(block=4096), num_warps=8,
)
compiled(
    fused_triton._rotate,
    dict(x=b, cosines=f, sines=f, stride=i, heads=i), dict(half=64), num_warps=1,
)
compiled(fused_triton._gate, dict(x=b, output=b, width=i), dict(block=1024))
"""


@pytest.mark.parametrize(
    ("code", "more"),
    [(RUN, {"TRITON_INTERPRET": "1"}), (COMPILE, {})],
    ids=["run by the interpreter", "compiled for sm_90"],
)
def test_the_triton_kernels_are_right_without_a_gpu(torch, code, more):
    pytest.importorskip("triton", reason="kernels need triton: extra [gpu]")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
