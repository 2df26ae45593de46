"""What an engine knows of the requests that used blocks, and what a block costs."""

import numpy as np

from evaluators.calibration.step_time import entry
from evaluators.scenario import Scenario
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
        step, deployment = scenario.step_time, scenario.deployment
        self._block_tokens, self._most = (
            deployment.block_tokens,
            deployment.max_step_tokens,
        )
        full_ps = entry(step.tokens_ps, self._most) + step.prefill_ps
        self._token_s = (full_ps / self._most + step.prefill_token_ps) / PS_PER_S
        self._pair_s = step.prefill_work_ps / PS_PER_S
        self._read_s = step.prefill_context_ps / PS_PER_S

    def leave(self, row: int, tokens: int) -> None:
        """A request let go of its memory, with so many tokens computed."""
        is_done = tokens >= self._whole[row]
        self.known[1, row] = self._after[row] if is_done else PREEMPTED

    def recompute_s(self, depth: Ints) -> Floats:
        """Engine time to compute a block that has so many blocks before it.

        As part of the only chunk of a full step that nobody decodes in.
        """
        size = self._block_tokens
        pairs = size * (size + 2 * size * depth)
        computed_s = size * self._token_s + self._pair_s * pairs
        read_s = self._read_s * size * (depth + 1)
        return np.asarray(computed_s + size / self._most * read_s)


def _states(trace: Trace) -> list[int]:
    """State of each request once it has finished."""
    states = np.full(len(trace), UNKNOWN)
    sessions = trace.sessions
    if sessions is not None:
        states[sessions.after >= 0] = PERSON
        calls = (sessions.after >= 0) & (sessions.is_tool == 1)
        states[sessions.after[calls]] = TOOL
    return list(states.tolist())
