"""How long a request takes alone on an idle engine: the unit of its slowdown."""

import numpy as np

from evaluators.calibration.step_time import entry
from evaluators.once import once_a_scenario
from evaluators.scenario import Scenario
from evaluators.views import Ints


@once_a_scenario
def solo_ps(scenario: Scenario) -> Ints:
    """Picoseconds from arrival to finish of each request if it were the only one.

    The prompt is computed in chunks of ``max_step_tokens``, then one token a step.
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
    token = entry(step.tokens_ps, 1) + entry(step.decodes_ps, 1)
    per_context = entry(step.context_ps, 1) + step.longest_context_ps
    contexts = later * prompt + later * (later + 1) // 2
    alone: Ints = prefill + later * token + per_context * contexts
    return np.maximum(alone, 1)
