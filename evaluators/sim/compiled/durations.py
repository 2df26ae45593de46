"""How long a step takes, by its aggregates, and how much longer the next one."""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.state import Durations, Record
from evaluators.views import Ints


@compiled
def duration_ps(durations: Durations, replica: Record) -> int:
    """Picoseconds of the step that the replica has granted tokens for."""
    tables_ps, decodes = durations.tables_ps, replica.decodes
    duration: int = (
        tables_ps[0, replica.prefill_tokens + decodes]
        + tables_ps[1, decodes]
        + attention_ps(durations, decodes, replica.context_tokens)
        + durations.token_ps * replica.prefill_tokens
        + durations.work_ps * replica.prefill_work
        + durations.chunk_ps * replica.prefills
        + durations.chunk_context_ps * replica.prefill_context
        + durations.longest_ps * replica.longest_context
    )
    if replica.prefill_tokens:
        duration += durations.beside_ps * decodes
        duration += durations.beside_context_ps * replica.context_tokens
    return max(1, duration)


@compiled
def attention_ps(durations: Durations, decodes: int, context: int) -> int:
    """Picoseconds of decode attention over so many context tokens in all."""
    knots, tables_ps = durations.knots, durations.tables_ps
    total_ps: int = 0
    at = 0
    while at + 1 < len(knots) and decodes * knots[at + 1] < context:
        width = knots[at + 1] - knots[at]
        total_ps += tables_ps[2 + at, decodes] * decodes * width
        at += 1
    total_ps += tables_ps[2 + at, decodes] * (context - decodes * knots[at])
    return total_ps


@compiled
def segment(knots: Ints, decodes: int, context: int) -> int:
    """Which segment the next context token is in; somebody must decode."""
    at = 0
    while at + 1 < len(knots) and decodes * knots[at + 1] <= context:
        at += 1
    return at
