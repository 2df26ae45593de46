"""How long one engine step takes, as integer picoseconds of a few batch aggregates."""

from dataclasses import dataclass
from typing import NamedTuple


class Batch(NamedTuple):
    """What the duration of a step depends on; all counts are of this one step.

    ``prefill_work`` is the sum over prefill chunks of k * (k + 2 * done): chunk length
    k and tokens of the same request computed before. ``context_tokens`` is the sum over
    decoding requests of the KV length read, the new token included, and
    ``longest_context`` its maximum (0 when none decodes).
    """

    prefill_tokens: int
    prefill_work: int
    decodes: int
    context_tokens: int
    longest_context: int


@dataclass(frozen=True, slots=True)
class StepTime:
    """Step duration, affine in the contexts so that equal steps can be skipped exactly.

    duration = tokens_ps[prefill_tokens + decodes] + decodes_ps[decodes]
             + prefill_token_ps * prefill_tokens + prefill_work_ps * prefill_work
             + context_ps[decodes] * context_tokens
             + longest_context_ps * longest_context

    Tables are indexed by a count; beyond its end a table goes on with its last slope
    (a table of one entry is a constant). ``decodes_ps[0]`` is paid when none decodes.
    All entries are integers, so sums of many steps are exact.
    """

    tokens_ps: tuple[int, ...] = (0,)
    decodes_ps: tuple[int, ...] = (0,)
    context_ps: tuple[int, ...] = (0,)
    prefill_token_ps: int = 0
    prefill_work_ps: int = 0
    longest_context_ps: int = 0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` when a table is empty or a coefficient is negative."""
        for name in ("tokens_ps", "decodes_ps", "context_ps"):
            table = getattr(self, name)
            if not table or min(table) < 0:
                raise ValueError(f"{name} needs entries, none of them negative")
        scalars = (self.prefill_token_ps, self.prefill_work_ps, self.longest_context_ps)
        if min(scalars) < 0:
            raise ValueError(f"step-time coefficients {scalars} must not be negative")
        for count in range(1, max(len(self.tokens_ps), len(self.decodes_ps)) + 1):
            if entry(self.tokens_ps, count) + entry(self.decodes_ps, count) < 1:
                raise ValueError(f"a step of {count} tokens would take no time")

    def duration_ps(self, batch: Batch) -> int:
        """Picoseconds that a step of ``batch`` takes, at least 1."""
        tokens = batch.prefill_tokens + batch.decodes
        total = (
            entry(self.tokens_ps, tokens)
            + entry(self.decodes_ps, batch.decodes)
            + self.prefill_token_ps * batch.prefill_tokens
            + self.prefill_work_ps * batch.prefill_work
            + entry(self.context_ps, batch.decodes) * batch.context_tokens
            + self.longest_context_ps * batch.longest_context
        )
        return max(1, total)


def entry(table: tuple[int, ...], index: int) -> int:
    """Entry of a table that goes on with its last slope beyond its end."""
    last = len(table) - 1
    if index <= last:
        return table[index]
    slope = max(0, table[last] - table[last - 1]) if last else 0
    return table[last] + slope * (index - last)
