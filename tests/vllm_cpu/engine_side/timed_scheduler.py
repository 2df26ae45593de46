"""The policy's scheduler in a real engine: notes when each step began and ended."""

import time
from typing import Any, Protocol

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput

from tests.differential.vllm_side.adviser import Adviser, Time
from tests.differential.vllm_side.block_policy import BlockPolicy
from tests.differential.vllm_side.policy_scheduler import PolicyScheduler, row_of

PS_PER_NS = 1000
Note = dict[str, Any]


class Clock(Protocol):
    """Whatever tells the time."""

    def now_ps(self) -> int:
        """Picoseconds since the run began."""


class TimedScheduler(PolicyScheduler):
    """Tells its policy the time of a clock, and notes each step.

    A step begins where the one before ended, or with the arrival that ends an idle
    time, and ends when vLLM has taken its tokens: all that the engine does between two
    steps is part of the later one.
    """

    clock: Clock
    notes: list[Note]

    def start(self, adviser: Adviser, blocks: BlockPolicy, clock: Clock) -> None:
        """Begin a run; nothing may be left of the run before."""
        assert not self.has_unfinished_requests()
        self.obey(adviser, blocks)
        self.clock, self.notes = clock, []
        self._own_ns = time.thread_time_ns()

    @property
    def time(self) -> Time:
        """What time it is for the policy."""
        return self.adviser.time

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Form a step, and note who computes how much."""
        decision = super().schedule(throttle_prefills)
        tokens = decision.num_scheduled_tokens
        self.notes.append({
            "at_ps": self.time.now_ps,
            "work": [(int(name), count) for name, count in tokens.items()],
            "preempted": list(self.waiting.preempted),
            "formed_ps": self.clock.now_ps(),
        })
        self.waiting.preempted.clear()
        return decision

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, Any]:
        """Take the tokens of a step, and note whose were the first or the last."""
        note = self.notes[-1]
        note["computed_ps"] = self.clock.now_ps()
        names = scheduler_output.num_scheduled_tokens
        ran = [self.requests[name] for name in names]
        had = [request.num_output_tokens for request in ran]
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        note["first"] = [
            row_of(request)
            for request, before in zip(ran, had, strict=True)
            if before == 0 and request.num_output_tokens > 0
        ]
        note["finished"] = [row_of(r) for r in ran if r.is_finished()]
        return outputs

    def step_ended(self) -> None:
        """Read the clock; what follows belongs to the next step."""
        now_ps, own_ns = self.clock.now_ps(), time.thread_time_ns()
        note = self.notes[-1]
        note["ends_ps"] = now_ps
        note["own_ps"] = (own_ns - self._own_ns) * PS_PER_NS
        self._own_ns = own_ns
        self.time.last_step_ps = now_ps - self.time.now_ps
        self.time.now_ps = now_ps
