"""From what an engine step computes to tensors: rows, pages, positions, slots."""

import torch

from evaluators.kernels.attention import chunker
from evaluators.kernels.bench import Bench
from evaluators.kernels.elementwise import angles
from evaluators.kernels.model import Chunk, Model, Plan
from evaluators.kernels.paged import (
    PAGE_TOKENS,
    Pages,
    decoder,
    n_pages,
    pages,
    scatters,
)
from evaluators.kernels.step_shape import StepShape


def plan(bench: Bench, model: Model, step: StepShape) -> Plan:
    """Tensors for a step; raises ``ValueError`` when it outgrows the KV memory."""
    totals = [done + new for done, new in step.chunks]
    needed = n_pages(totals) + n_pages(step.contexts)
    if needed > model.keys.shape[1]:
        raise ValueError(
            f"a step needs {needed} pages of KV; the model has {model.keys.shape[1]}"
        )
    chunks, slots, positions = _chunks(step)
    decodes, decode = None, None
    if step.contexts:
        first = n_pages(totals)
        decodes = pages(bench, step.contexts, first=first, is_scattered=scatters(bench))
        shape = model.shape
        _, decode = decoder(bench, decodes, shape.heads, shape.kv_heads)
        slots += _newest(decodes)
        positions += [context - 1 for context in step.contexts]
    rows = len(slots)
    ends = [chunk.rows[1] - 1 for chunk in chunks]
    emitting = [*ends, *range(rows - len(step.contexts), rows)]
    where = {"device": bench.device}
    cosines, sines = angles(torch.tensor(positions, **where), model.shape.head_dim // 2)
    return Plan(
        ids=bench.whole(0, model.shape.vocab, rows),
        cosines=cosines,
        sines=sines,
        slots=torch.tensor(slots, **where),
        emitting=torch.tensor(emitting, **where),
        nothing=torch.zeros(
            (rows, model.shape.hidden), dtype=bench.dtype, device=bench.device
        ),
        chunks=tuple(chunks),
        attend=chunker(bench)[1],
        decodes=decodes,
        decode=decode,
    )


def _chunks(step: StepShape) -> tuple[list[Chunk], list[int], list[int]]:
    """Each chunk with its KV in pages that lie together, its slots and positions."""
    chunks, slots, positions = list[Chunk](), list[int](), list[int]()
    row, page = 0, 0
    for done, new in step.chunks:
        start = page * PAGE_TOKENS
        chunks.append(Chunk((row, row + new), (start, start + done + new)))
        slots += range(start + done, start + done + new)
        positions += range(done, done + new)
        row, page = row + new, page + n_pages([done + new])
    return chunks, slots, positions


def _newest(at: Pages) -> list[int]:
    """Token row of the KV of each request's newest token."""
    table = at.table.cpu()
    found = []
    for row, context in enumerate(at.tokens):
        page, within = divmod(context - 1, PAGE_TOKENS)
        found.append(int(table[row, page]) * PAGE_TOKENS + within)
    return found
