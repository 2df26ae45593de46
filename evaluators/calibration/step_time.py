"""How long one engine step takes, as integer picoseconds of a few batch aggregates."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class Batch(NamedTuple):
    """What the duration of a step depends on; all counts are of this one step.

    ``prefill_work`` is the sum over prefill chunks of k * (k + 2 * done): chunk length
    k and tokens of the same request computed before. ``context_tokens`` is the sum over
    decoding requests of the KV length read, the new token included, and
    ``longest_context`` its maximum (0 when none decodes). ``prefills`` is the number of
    prefill chunks and ``prefill_context`` the sum over them of done + k, the KV length
    that each reads.
    """

    prefill_tokens: int
    prefill_work: int
    decodes: int
    context_tokens: int
    longest_context: int
    prefills: int = 0
    prefill_context: int = 0


@dataclass(frozen=True, slots=True)
class StepTime:
    """Step duration, piecewise linear in the contexts, so that equal steps add exactly.

    duration = tokens_ps[prefill_tokens + decodes] + decodes_ps[decodes]
             + attention_ps(decodes, context_tokens)
             + prefill_token_ps * prefill_tokens + prefill_work_ps * prefill_work
             + prefill_ps * prefills + prefill_context_ps * prefill_context
             + longest_context_ps * longest_context
             + beside_ps(batch)

    Decodes beside a prefill read slower than alone: a step that has both, and no other,
    also pays ``beside_decode_ps`` for each decode and ``beside_context_ps`` for each of
    their context tokens (both 0 where nobody measured the two together).

    ``context_knots`` are ascending mean contexts in tokens, the first 0;
    ``context_ps[i]`` is a table by decodes of what a context token costs between this
    knot and the next (the last one goes on): n decodes with context_tokens S pay
    ``context_ps[i][n]`` for each token of S between n * knot[i] and n * knot[i + 1]. So
    the edges are whole numbers, and a single knot is a price by decodes.

    Tables are indexed by a count; beyond its end a table goes on with its last slope
    (a table of one entry is a constant). ``decodes_ps[0]`` is paid when none decodes.
    All entries are integers, so sums of many steps are exact.
    """

    tokens_ps: tuple[int, ...] = (0,)
    decodes_ps: tuple[int, ...] = (0,)
    context_knots: tuple[int, ...] = (0,)
    context_ps: tuple[tuple[int, ...], ...] = ((0,),)
    prefill_token_ps: int = 0
    prefill_work_ps: int = 0
    prefill_ps: int = 0
    prefill_context_ps: int = 0
    longest_context_ps: int = 0
    beside_decode_ps: int = 0
    beside_context_ps: int = 0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming what is empty, negative or out of order."""
        knots, tables = self.context_knots, self.context_ps
        if len(knots) != len(tables) or not knots or knots[0] != 0:
            raise ValueError(
                f"context_knots are {knots} for {len(tables)} tables of context_ps; "
                "expected one knot a table, the first 0"
            )
        if any(after <= before for before, after in pairwise(knots)):
            raise ValueError(f"context_knots {knots} must ascend")
        named = [("tokens_ps", self.tokens_ps), ("decodes_ps", self.decodes_ps)]
        for name, table in (*named, *(("context_ps", table) for table in tables)):
            if not table or min(table) < 0:
                raise ValueError(f"{name} needs entries, none of them negative")
        if min(self._prices()) < 0:
            raise ValueError(
                f"step-time coefficients {self._prices()} must not be negative"
            )
        for count in range(1, max(len(self.tokens_ps), len(self.decodes_ps)) + 1):
            if entry(self.tokens_ps, count) + entry(self.decodes_ps, count) < 1:
                raise ValueError(f"a step of {count} tokens would take no time")

    def duration_ps(self, batch: Batch) -> int:
        """Picoseconds that a step of ``batch`` takes, at least 1."""
        tokens = batch.prefill_tokens + batch.decodes
        total = (
            entry(self.tokens_ps, tokens)
            + entry(self.decodes_ps, batch.decodes)
            + self.attention_ps(batch.decodes, batch.context_tokens)
            + self.prefill_token_ps * batch.prefill_tokens
            + self.prefill_work_ps * batch.prefill_work
            + self.prefill_ps * batch.prefills
            + self.prefill_context_ps * batch.prefill_context
            + self.longest_context_ps * batch.longest_context
            + self.beside_ps(batch)
        )
        return max(1, total)

    def attention_ps(self, decodes: int, context_tokens: int) -> int:
        """Picoseconds of decode attention over so many context tokens in all."""
        edges = [decodes * knot for knot in self.context_knots]
        ends = [*edges[1:], max(context_tokens, edges[-1])]
        return sum(
            entry(table, decodes) * max(0, min(context_tokens, end) - start)
            for table, start, end in zip(self.context_ps, edges, ends, strict=True)
        )

    def beside_ps(self, batch: Batch) -> int:
        """Picoseconds that decodes take longer as they are beside a prefill."""
        if not batch.prefill_tokens:
            return 0
        decodes_ps = self.beside_decode_ps * batch.decodes
        return decodes_ps + self.beside_context_ps * batch.context_tokens

    def _prices(self) -> tuple[int, ...]:
        return (
            self.prefill_token_ps,
            self.prefill_work_ps,
            self.prefill_ps,
            self.prefill_context_ps,
            self.longest_context_ps,
            self.beside_decode_ps,
            self.beside_context_ps,
        )


def entry(table: tuple[int, ...], index: int) -> int:
    """Entry of a table that goes on with its last slope beyond its end."""
    last = len(table) - 1
    if index <= last:
        return table[index]
    slope = max(0, table[last] - table[last - 1]) if last else 0
    return table[last] + slope * (index - last)


def segment(knots: Sequence[int], decodes: int, context_tokens: int) -> int:
    """Which segment the next context token is in; 0 when none decodes."""
    if not decodes:
        return 0
    return bisect_right(knots, context_tokens // decodes) - 1


def steps_to_edge(
    knots: Sequence[int], decodes: int, context_tokens: int
) -> int | None:
    """Decode-only steps from this one on whose durations lie on one line.

    Each reads ``decodes`` tokens more than the one before; None if all do.
    """
    at = segment(knots, decodes, context_tokens) + 1
    if at == len(knots):
        return None
    return knots[at] + (-context_tokens // decodes) + 1
