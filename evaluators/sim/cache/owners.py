"""What an engine knows of the requests that used blocks, and what a block costs."""

import numpy as np

from evaluators.calibration.step_time import StepTime, entry
from evaluators.scenario import Deployment, Scenario
from evaluators.views import Floats, Ints
from evaluators.views_blocks import PERSON, PREEMPTED, TOOL, UNKNOWN
from evaluators.workloads.trace import PS_PER_S, Trace


class Owners:
    """Tenant and state of the requests that used blocks last; times to recompute.

    ``known`` has a column a request: tenant and state. The state is what a front end
    sees when the request leaves: a tool call in its answer, or that it was itself a
    later turn of a conversation. Whether a person comes back is never shown.
    """

    def __init__(self, scenario: Scenario) -> None:
        trace, self.id_key = scenario.trace, scenario.id_key
        self.known: Ints = np.zeros((2, len(trace)), dtype=np.int64)
        self.known[0] = trace.tenant
        self._after = _states(trace)
        self._whole = (trace.prompt_tokens + trace.output_tokens - 1).tolist()
        self._token_s, self._pair_s = token_s(scenario.step_time, scenario.deployment)
        self._block_tokens = scenario.deployment.block_tokens

    def leave(self, row: int, tokens: int) -> None:
        """A request let go of its memory, with so many tokens computed."""
        is_done = tokens >= self._whole[row]
        self.known[1, row] = self._after[row] if is_done else PREEMPTED

    def recompute_s(self, depth: Ints) -> Floats:
        """Engine time to compute a block that has so many blocks before it."""
        size = self._block_tokens
        pairs = size * (size + 2 * size * depth)
        return np.asarray(size * self._token_s + self._pair_s * pairs)


def token_s(step_time: StepTime, deployment: Deployment) -> tuple[float, float]:
    """Time of a prompt token in a full step, and of a unit of its attention work."""
    most = deployment.max_step_tokens
    step_ps = entry(step_time.tokens_ps, most) / most + step_time.prefill_token_ps
    return step_ps / PS_PER_S, step_time.prefill_work_ps / PS_PER_S


def _states(trace: Trace) -> list[int]:
    """State of each request once it has finished."""
    states = np.full(len(trace), UNKNOWN)
    sessions = trace.sessions
    if sessions is not None:
        states[sessions.after >= 0] = PERSON
        calls = (sessions.after >= 0) & (sessions.is_tool == 1)
        states[sessions.after[calls]] = TOOL
    return list(states.tolist())
