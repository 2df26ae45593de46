"""How long a request takes alone on an idle engine: the unit of its slowdown."""

from itertools import pairwise

import numpy as np

from evaluators.calibration.step_time import StepTime, entry
from evaluators.once import once_a_scenario
from evaluators.scenario import Scenario
from evaluators.views import Ints


@once_a_scenario
def solo_ps(scenario: Scenario) -> Ints:
    """Picoseconds from arrival to finish of each request if it were the only one.

    The prompt is computed in chunks of ``max_step_tokens``, then one token a step. So
    no decode of its own is beside a prefill, and none of those prices is paid.
    """
    step, trace = scenario.step_time, scenario.trace
    most = scenario.deployment.max_step_tokens
    prompt, later = trace.prompt_tokens, trace.output_tokens - 1
    full, rest = np.divmod(prompt, most)
    lengths, which = np.unique(rest, return_inverse=True)
    last = np.array([entry(step.tokens_ps, int(k)) for k in lengths])[which]
    idle = step.decodes_ps[0]
    prefill = full * (entry(step.tokens_ps, most) + idle)
    prefill += np.where(rest > 0, last + idle, 0)
    prefill += step.prefill_token_ps * prompt + step.prefill_work_ps * prompt**2
    prefill += step.prefill_ps * (full + (rest > 0))
    read = most * _up_to(full) + np.where(rest > 0, prompt, 0)
    prefill += step.prefill_context_ps * read
    token = entry(step.tokens_ps, 1) + entry(step.decodes_ps, 1)
    alone: Ints = prefill + later * token + _contexts_ps(step, prompt, later)
    return np.maximum(alone, 1)


def _contexts_ps(step: StepTime, prompt: Ints, later: Ints) -> Ints:
    """What ``later`` tokens pay for contexts of prompt + 1, prompt + 2 and so on."""
    total: Ints = step.longest_context_ps * _above(0, prompt, later)
    edges = [*step.context_knots, None]
    for table, (start, end) in zip(step.context_ps, pairwise(edges), strict=True):
        read = _above(start or 0, prompt, later)
        read = read if end is None else read - _above(end, prompt, later)
        total = total + entry(table, 1) * read
    return total


def _above(knot: int, prompt: Ints, later: Ints) -> Ints:
    """Sum over contexts prompt + 1 .. prompt + later of what exceeds the knot."""
    return _up_to(np.maximum(prompt + later - knot, 0)) - _up_to(
        np.maximum(prompt - knot, 0)
    )


def _up_to(last: Ints) -> Ints:
    """Sum of 1 .. last."""
    total: Ints = last * (last + 1) // 2
    return total
