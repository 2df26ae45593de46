"""vLLM's scheduler whose queue, victims, token budget and prompt cap are a policy's.

Only data that vLLM reads is changed, between its steps: the order of its two lists and
two of its limits. What vLLM does with them is its own code.
"""

from collections import deque
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.request_queue import FCFSRequestQueue
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

from evaluators.workloads.trace import PS_PER_S
from tests.differential.vllm_side.adviser import Adviser, Grant, Progress
from tests.differential.vllm_side.block_policy import BlockPolicy


class PolicyQueue(FCFSRequestQueue):
    """vLLM's own queue; tells of preempted requests, and looks empty to hold one back.

    vLLM puts nothing but preempted requests at the front, and admits while there is
    anything to admit.
    """

    scheduler: "PolicyScheduler"
    preempted: list[int]
    preempted_ps: list[int]

    def prepend_request(self, request: Request) -> None:
        """A request was preempted, which is a decision point."""
        super().prepend_request(request)
        self.preempted.append(row_of(request))
        self.preempted_ps.append(self.scheduler.adviser.time.now_ps)
        generated = request.num_output_tokens
        self.scheduler.adviser.preempt(row_of(request), generated)

    def __bool__(self) -> bool:
        """Whether there is somebody to admit."""
        if not len(self):
            return False
        held = self.scheduler.adviser.is_held(row_of(self[0]))
        return not (held and self.scheduler.running)

    def reorder(self, rows: list[int]) -> None:
        """Put the members in this order."""
        members = {row_of(request): request for request in self}
        self.clear()
        self.extend(members[row] for row in rows)


class Obedient(Scheduler):
    """Asks a policy where our engine would ask it, then lets vLLM schedule.

    ``granted`` is what the last step gives, and what each that is to end gave.
    """

    adviser: Adviser
    blocks: BlockPolicy

    def obey(self, adviser: Adviser, blocks: BlockPolicy) -> None:
        """Take orders from policies; called once, before the first request."""
        self.adviser, self.blocks = adviser, blocks
        self.waiting = PolicyQueue()
        self.waiting.scheduler = self
        self.waiting.preempted, self.waiting.preempted_ps = [], []
        self.granted: deque[list[Grant]] = deque()

    def add_request(self, request: Request) -> None:
        """A request arrives, which is a decision point."""
        super().add_request(request)
        arrived_ps = round(request.arrival_time * PS_PER_S)
        self.adviser.arrive(row_of(request), arrived_ps)

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Ask the policy what is due, then form vLLM's step."""
        self._ask()
        if self.adviser.policy.victim_key and self._missing_blocks() > 0:
            order = self.adviser.victims(*self._state())
            self.running = [self.running[i] for i in order]
        decided = super().schedule(throttle_prefills)
        grants = [
            Grant(
                int(name),
                tokens,
                not self.requests[name].is_prefill_chunk,
                int(name) in self.adviser.decoding,
            )
            for name, tokens in decided.num_scheduled_tokens.items()
        ]
        self.granted.append(grants)
        for grant in grants:
            self.adviser.decided(grant)
        return decided

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, Any]:
        """End a step: note who got tokens, and whether that is a decision point."""
        grants = self.granted.popleft()
        ran = [self.requests[str(grant.row)] for grant in grants]
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        self.step_ended()
        for request, grant in zip(ran, grants, strict=True):
            self.adviser.ran(
                grant,
                request.num_output_tokens,
                waits=request.status == RequestStatus.PREEMPTED,
                finished=request.is_finished(),
            )
        return outputs

    def step_ended(self) -> None:
        """VLLM has taken the tokens of a step; a real engine looks at its clock."""

    def _free_request_blocks(self, request: Request) -> None:
        self.blocks.leaving = row_of(request)
        super()._free_request_blocks(request)
        if request.num_computed_tokens:  # none if it ended after a preemption
            self.blocks.owners.leave(row_of(request), request.num_computed_tokens)

    def _ask(self) -> None:
        order = self.adviser.advise(*self._state())
        if order is not None:
            self.waiting.reorder(order)
        self.max_num_scheduled_tokens = self.adviser.budget
        self.scheduler_config.long_prefill_token_threshold = self.adviser.cap

    def _state(self) -> tuple[list[int], list[Progress], int]:
        waiting = [row_of(request) for request in self.waiting]
        running = [
            Progress(
                row_of(request),
                request.num_computed_tokens,
                self._held_blocks(request),
                request.num_output_tokens,
            )
            for request in self.running
        ]
        return waiting, running, self.kv_cache_manager.block_pool.get_num_free_blocks()

    def _held_blocks(self, request: Request) -> int:
        return len(self.kv_cache_manager.get_blocks(request.request_id).blocks[0])

    def _missing_blocks(self) -> int:
        """Blocks that vLLM's next step lacks for the running requests; none if below 1.

        Repeats vLLM's arithmetic for running requests: whoever sorts them only when
        somebody will be preempted leaves the order of the others alone.
        """
        alone = len(self.running) + len(self.waiting) == 1
        cap = 0 if alone else self.adviser.cap
        need, left = 0, self.adviser.budget
        for request in self.running:
            want = self._wanted(request)
            want = min(want, left, cap or want)
            blocks = -(-(request.num_computed_tokens + want) // self.block_size)
            need += blocks - self._held_blocks(request)
            left -= want
        return need - self.kv_cache_manager.block_pool.get_num_free_blocks()

    def _wanted(self, request: Request) -> int:
        """Tokens that vLLM would give a running request, were there no limits."""
        coming = request.num_output_placeholders
        if coming and request.num_output_tokens + coming >= request.max_tokens:
            return 0
        return request.num_tokens + coming - request.num_computed_tokens


class PolicyScheduler(Obedient):
    """vLLM's scheduler that decides a step when the one before has ended."""


class AsyncPolicyScheduler(Obedient, AsyncScheduler):
    """vLLM's scheduler that decides a step when the one before begins."""


def row_of(request: Request) -> int:
    """Row of the trace that a request of vLLM stands for."""
    return int(request.request_id)
