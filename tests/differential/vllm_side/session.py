"""One job on one vLLM scheduler, from the first arrival to the last token."""

from collections import deque
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from evaluators.calibration.step_time import Batch
from evaluators.load import load_policy
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.cache.evict import HOOKS as EVICTION_HOOKS
from evaluators.sim.hooks import HOOKS, Policy
from evaluators.workloads.trace import PS_PER_S
from tests.differential.vllm_side.adviser import Adviser, Grant, Time
from tests.differential.vllm_side.block_policy import BlockPolicy
from tests.differential.vllm_side.build import hasher_of
from tests.differential.vllm_side.job import Job, Json
from tests.differential.vllm_side.policy_scheduler import Obedient, row_of
from tests.differential.vllm_side.tokens import Tokens


class Begun(NamedTuple):
    """A step that has been decided, for whom, and what is noted of it."""

    decision: SchedulerOutput
    requests: list[Request]
    grants: list[Grant]
    note: Json


class Session:
    """Drives a scheduler by simulated time and notes every decision."""

    def __init__(self, scheduler: Obedient, job: Job) -> None:
        policy = load_policy(job.policy, HOOKS) if job.policy else None
        self._scheduler, self._scenario = scheduler, job.scenario
        self._time = Time()
        self._tokens = Tokens(job.scenario.trace)
        self._hasher = hasher_of(job.scenario.deployment)
        blocks = self._blocks = BlockPolicy(
            job.scenario,
            scheduler.kv_cache_manager.block_pool,
            scheduler.requests,
            load_policy(job.eviction, EVICTION_HOOKS) if job.eviction else None,
            self._time,
        )
        scheduler.obey(Adviser(job.scenario, Policy(policy), self._time), blocks)
        self._sessions = Arrivals(job.scenario)
        self._arrivals = list(self._sessions.first)
        heapify(self._arrivals)
        self._steps: list[Json] = []
        self._free_ps = 0

    def run(self) -> list[Json]:
        """Every step: when, who computed how much, who came, went and was evicted."""
        while self._arrivals or self._scheduler.has_unfinished_requests():
            if not self._scheduler.has_unfinished_requests():
                self._rest()
            self._arrive()
            self._end(self._decide())
        return self._steps

    def _rest(self) -> None:
        """Nothing is left to do before the next arrival."""
        self._time.now_ps = max(self._time.now_ps, self._arrivals[0][0])

    def _arrive(self) -> None:
        """Let in who has come by now."""
        while self._arrivals and self._arrivals[0][0] <= self._time.now_ps:
            self._scheduler.add_request(self._request(*heappop(self._arrivals)))

    def _request(self, arrived_ps: int, row: int) -> Request:
        trace = self._scenario.trace
        limits = SamplingParams(max_tokens=int(trace.output_tokens[row]))
        return Request(
            request_id=str(row),
            prompt_token_ids=self._tokens.of(row)[: trace.prompt_tokens[row]],
            sampling_params=limits,
            pooling_params=None,
            arrival_time=arrived_ps / PS_PER_S,
            block_hasher=self._hasher,
        )

    def _decide(self) -> Begun:
        """Let the scheduler form a step, which begins when the last one has ended."""
        scheduler, now_ps = self._scheduler, self._time.now_ps
        before = {row_of(request) for request in scheduler.running}
        decision = scheduler.schedule()
        grants = scheduler.granted[-1]
        requests = [scheduler.requests[str(grant.row)] for grant in grants]
        done = [r.num_computed_tokens for r in requests]
        note: Json = {"at_ps": now_ps, "begins_ps": max(now_ps, self._free_ps)}
        if grants:
            note["work"] = [(grant.row, grant.tokens) for grant in grants]
            queue = scheduler.waiting
            note["preempted"] = list(queue.preempted)
            note["preempted_ps"] = list(queue.preempted_ps)
            queue.preempted.clear()
            queue.preempted_ps.clear()
            note["admitted"] = [
                (grant.row, total - grant.tokens)
                for grant, total in zip(grants, done, strict=True)
                if grant.row not in before
            ]
            self._blocks.learn(requests)
            note["evicted"] = self._blocks.drain()
            self._free_ps = note["begins_ps"] + self._duration_ps(grants, done)
            note["ends_ps"] = self._free_ps
        return Begun(decision, requests, grants, note)

    def _end(self, begun: Begun) -> None:
        """A step ends; note who finished, and let their followers come."""
        scheduler, time, note = self._scheduler, self._time, begun.note
        if begun.grants:
            time.now_ps = max(time.now_ps, note["ends_ps"])
            time.last_step_ps = note["ends_ps"] - note["begins_ps"]
        scheduler.update_from_output(begun.decision, self._output(begun))
        if not begun.grants:
            return
        self._blocks.learn(begun.requests)
        note["finished"] = [row_of(r) for r in begun.requests if r.is_finished()]
        self._steps.append(note)
        for row in note["finished"]:
            for follower in self._sessions.after(row, time.now_ps):
                heappush(self._arrivals, follower)

    def _duration_ps(self, grants: list[Grant], done: list[int]) -> int:
        # vLLM counts a step's tokens as computed as soon as it is scheduled.
        starts = [total - g.tokens for g, total in zip(grants, done, strict=True)]
        pairs = list(zip(grants, starts, strict=True))
        chunks = [(g.tokens, start) for g, start in pairs if not g.decoding]
        contexts = [start + 1 for g, start in pairs if g.decoding]
        batch = Batch(
            prefill_tokens=sum(k for k, _ in chunks),
            prefill_work=sum(k * (k + 2 * start) for k, start in chunks),
            decodes=len(contexts),
            context_tokens=sum(contexts),
            longest_context=max(contexts, default=0),
            prefills=len(chunks),
            prefill_context=sum(start + k for k, start in chunks),
        )
        return self._scenario.step_time.duration_ps(batch)

    def _output(self, begun: Begun) -> ModelRunnerOutput:
        """What a model would answer: a token for whoever has computed all he has."""
        sampled = []
        for request, grant in zip(begun.requests, begun.grants, strict=True):
            tokens = self._tokens.of(grant.row)
            sampled.append([tokens[request.num_tokens]] if grant.emits else [])
        names = [request.request_id for request in begun.requests]
        return ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: i for i, name in enumerate(names)},
            sampled_token_ids=sampled,
        )


class OverlappedSession(Session):
    """The same with a queue of two steps, as vLLM's engine core keeps it.

    A step is decided while the one before computes; only then is the output of that one
    waited for and told to the scheduler (``EngineCore.step_with_batch_queue``).
    """

    def run(self) -> list[Json]:
        """See ``Session``."""
        scheduler, queue = self._scheduler, deque[Begun]()
        while queue or self._arrivals or scheduler.has_unfinished_requests():
            if not queue and not scheduler.has_requests():
                self._rest()
            self._arrive()
            if scheduler.has_requests():
                begun = self._decide()
                queue.appendleft(begun)
                if len(queue) < 2 and (begun.grants or scheduler.has_requests()):
                    continue
            self._end(queue.pop())
        return self._steps
