"""vLLM's scheduler whose queue, victims, token budget and prompt cap are a policy's.

Only data that vLLM reads is changed, between its steps: the order of its two lists and
two of its limits. What vLLM does with them is its own code.
"""

from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.request_queue import FCFSRequestQueue
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from evaluators.workloads.trace import PS_PER_S
from tests.differential.vllm_side.adviser import Adviser, Progress
from tests.differential.vllm_side.block_policy import BlockPolicy


class PolicyQueue(FCFSRequestQueue):
    """vLLM's own queue; tells of preempted requests, and looks empty to hold one back.

    vLLM puts nothing but preempted requests at the front, and admits while there is
    anything to admit.
    """

    scheduler: "PolicyScheduler"
    preempted: list[int]

    def prepend_request(self, request: Request) -> None:
        """A request was preempted, which is a decision point."""
        super().prepend_request(request)
        self.preempted.append(row_of(request))
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


class PolicyScheduler(Scheduler):
    """Asks a policy where our engine would ask it, then lets vLLM schedule."""

    adviser: Adviser
    blocks: BlockPolicy

    def obey(self, adviser: Adviser, blocks: BlockPolicy) -> None:
        """Take orders from policies; called once, before the first request."""
        self.adviser, self.blocks = adviser, blocks
        self.waiting = PolicyQueue()
        self.waiting.scheduler, self.waiting.preempted = self, []

    def add_request(self, request: Request) -> None:
        """A request arrives, which is a decision point."""
        super().add_request(request)
        arrived_ps = round(request.arrival_time * PS_PER_S)
        self.adviser.arrive(row_of(request), arrived_ps)

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Ask the policy what is due, then form vLLM's step."""
        self.waiting.preempted.clear()
        self._ask()
        if self.adviser.policy.victim_key and self._missing_blocks() > 0:
            order = self.adviser.victims(*self._state())
            self.running = [self.running[i] for i in order]
        return super().schedule(throttle_prefills)

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, Any]:
        """End a step: note who got tokens, and whether that is a decision point."""
        sampled = model_runner_output.sampled_token_ids
        where = model_runner_output.req_id_to_index
        tokens = scheduler_output.num_scheduled_tokens
        ran = [(self.requests[name], tokens[name]) for name in tokens]
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        for request, count in ran:
            self.adviser.ran(
                row_of(request),
                count,
                emitted=bool(sampled[where[request.request_id]]),
                finished=request.is_finished(),
            )
        return outputs

    def _free_request_blocks(self, request: Request) -> None:
        self.blocks.leaving = row_of(request)
        super()._free_request_blocks(request)
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
            want = request.num_tokens - request.num_computed_tokens
            want = min(want, left, cap or want)
            blocks = -(-(request.num_computed_tokens + want) // self.block_size)
            need += blocks - self._held_blocks(request)
            left -= want
        return need - self.kv_cache_manager.block_pool.get_num_free_blocks()


def row_of(request: Request) -> int:
    """Row of the trace that a request of vLLM stands for."""
    return int(request.request_id)
