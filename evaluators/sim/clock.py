"""Step durations from tables long enough for a deployment, and sums of many steps."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import isqrt

from evaluators.calibration.step_time import StepTime, entry, segment, steps_to_edge
from evaluators.scenario import Deployment


class Clock:
    """The same durations as ``StepTime.duration_ps``, without its bounds checks.

    ``idle_ps`` and ``context_ps`` are, for contexts below the first edge, what a
    decode-only step costs by its number of requests and for each context token.
    ``edges`` are the ``context_knots`` where there is more than one, else None;
    ``beside_ps`` are both prices beside a prefill, None where they are 0.
    """

    __slots__ = (
        "_segments",
        "_tokens_ps",
        "beside_ps",
        "context_ps",
        "decodes_ps",
        "edges",
        "idle_ps",
        "longest_ps",
        "prefill_context_ps",
        "prefill_ps",
        "token_ps",
        "work_ps",
    )

    def __init__(self, step_time: StepTime, deployment: Deployment) -> None:
        most = deployment.max_step_tokens + deployment.max_running + 1
        self._tokens_ps = _extended(step_time.tokens_ps, most)
        self.decodes_ps = _extended(step_time.decodes_ps, deployment.max_running + 1)
        knots = step_time.context_knots
        prices = [
            _extended(table, deployment.max_running + 1)
            for table in step_time.context_ps
        ]
        self.edges = knots if len(knots) > 1 else None
        self.context_ps = prices[0]
        fixed = zip(self._tokens_ps, self.decodes_ps, strict=False)
        self.idle_ps = tuple(tokens + decodes for tokens, decodes in fixed)
        self._segments = _lines(knots, prices)
        self.token_ps = step_time.prefill_token_ps
        self.work_ps = step_time.prefill_work_ps
        self.prefill_ps = step_time.prefill_ps
        self.prefill_context_ps = step_time.prefill_context_ps
        self.longest_ps = step_time.longest_context_ps
        beside = step_time.beside_decode_ps, step_time.beside_context_ps
        self.beside_ps = beside if any(beside) else None

    def duration_ps(
        self,
        prefill: tuple[int, int, int, int],
        decodes: int,
        context: int,
        longest: int,
    ) -> int:
        """Picoseconds of one step.

        ``prefill`` is its prompt tokens, their work, chunks and context.
        """
        tokens, work, chunks, ends = prefill
        total = (
            self._tokens_ps[tokens + decodes]
            + self.decodes_ps[decodes]
            + self.token_ps * tokens
            + self.work_ps * work
            + self.prefill_ps * chunks
            + self.prefill_context_ps * ends
            + self.longest_ps * longest
        )
        if self.edges is None:
            total += self.context_ps[decodes] * context
        else:
            fixed, price = self.line(decodes, context)
            total += fixed + price * context
        if self.beside_ps is not None and tokens:
            decode_ps, context_ps = self.beside_ps
            total += decode_ps * decodes + context_ps * context
        return total if total > 0 else 1

    def pace_ps(self, decodes: int, context: int, longest: int) -> tuple[int, int]:
        """Duration of a decode-only step, and how much each later one is longer.

        It reads so many context tokens; this holds of ``steps_to_edge`` steps.
        """
        if self.edges is None:
            fixed, price = 0, self.context_ps[decodes]
        else:
            fixed, price = self.line(decodes, context)
        first = self.idle_ps[decodes] + fixed + price * context
        return first + self.longest_ps * longest, price * decodes + self.longest_ps

    def steps_to_edge(self, most: int, decodes: int, context: int) -> int:
        """Of so many decode-only steps, those whose durations lie on one line."""
        if self.edges is None:
            return most
        found = steps_to_edge(self.edges, decodes, context)
        return most if found is None else min(most, found)

    def span_ps(self, steps: int, decodes: int, context: int, longest: int) -> int:
        """Duration of so many decode-only steps; the first reads ``context`` tokens."""
        total = 0
        while steps > 0:
            here = self.steps_to_edge(steps, decodes, context)
            total += total_ps(here, *self.pace_ps(decodes, context, longest))
            context, longest = context + decodes * here, longest + here
            steps -= here
        return total

    def line(self, decodes: int, context: int) -> tuple[int, int]:
        """Attention near so many context tokens: a constant, and what a token costs."""
        at = 0 if self.edges is None else segment(self.edges, decodes, context)
        fixed, prices = self._segments[at]
        return fixed[decodes], prices[decodes]


Line = tuple[tuple[int, ...], tuple[int, ...]]


def _lines(knots: Sequence[int], prices: Sequence[tuple[int, ...]]) -> list[Line]:
    """For each segment, by decodes: what to add to the price of all context tokens."""
    fixed = (0,) * len(prices[0])
    lines = [(fixed, prices[0])]
    for knot, (before, after) in zip(knots[1:], pairwise(prices), strict=True):
        fixed = tuple(
            have + n * knot * (below - above)
            for n, (have, below, above) in enumerate(
                zip(fixed, before, after, strict=True)
            )
        )
        lines.append((fixed, after))
    return lines


@lru_cache(maxsize=64)
def _extended(table: tuple[int, ...], length: int) -> tuple[int, ...]:
    return tuple(entry(table, i) for i in range(length))


def total_ps(steps: int, first_ps: int, growth_ps: int) -> int:
    """Duration of ``steps`` steps of which each is ``growth_ps`` longer."""
    return steps * first_ps + growth_ps * (steps * (steps - 1) // 2)


def steps_to_cover(span_ps: int, first_ps: int, growth_ps: int) -> int:
    """Fewest steps that together last at least ``span_ps``, which is above 0.

    The root of growth/2 k^2 + (first - growth/2) k = span in integers, then corrected
    by at most a step, so that no rounding can move a decision.
    """
    if growth_ps == 0:
        return -(-span_ps // first_ps)
    linear = 2 * first_ps - growth_ps
    root = isqrt(linear * linear + 8 * growth_ps * span_ps)
    steps = max(1, (root - linear) // (2 * growth_ps))
    while total_ps(steps, first_ps, growth_ps) < span_ps:
        steps += 1
    while steps > 1 and total_ps(steps - 1, first_ps, growth_ps) >= span_ps:
        steps -= 1
    return steps
