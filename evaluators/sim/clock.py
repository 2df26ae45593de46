"""Step durations from tables long enough for a deployment, and sums of many steps."""

from functools import lru_cache
from math import isqrt

from evaluators.calibration.step_time import StepTime, entry
from evaluators.scenario import Deployment


class Clock:
    """The same durations as ``StepTime.duration_ps``, without its bounds checks.

    ``idle_ps`` is what a decode-only step costs by its number of requests, their
    contexts apart.
    """

    __slots__ = (
        "context_ps",
        "decodes_ps",
        "idle_ps",
        "longest_ps",
        "token_ps",
        "tokens_ps",
        "work_ps",
    )

    def __init__(self, step_time: StepTime, deployment: Deployment) -> None:
        most = deployment.max_step_tokens + deployment.max_running + 1
        self.tokens_ps = _extended(step_time.tokens_ps, most)
        self.decodes_ps = _extended(step_time.decodes_ps, deployment.max_running + 1)
        self.context_ps = _extended(step_time.context_ps, deployment.max_running + 1)
        fixed = zip(self.tokens_ps, self.decodes_ps, strict=False)
        self.idle_ps = tuple(tokens + decodes for tokens, decodes in fixed)
        self.token_ps = step_time.prefill_token_ps
        self.work_ps = step_time.prefill_work_ps
        self.longest_ps = step_time.longest_context_ps

    def duration_ps(
        self, prefill: tuple[int, int], decodes: int, context: int, longest: int
    ) -> int:
        """Picoseconds of one step; ``prefill`` is its tokens and its work."""
        tokens, work = prefill
        total = (
            self.tokens_ps[tokens + decodes]
            + self.decodes_ps[decodes]
            + self.token_ps * tokens
            + self.work_ps * work
            + self.context_ps[decodes] * context
            + self.longest_ps * longest
        )
        return total if total > 0 else 1


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
