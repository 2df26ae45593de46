"""One job on one vLLM scheduler, from the first arrival to the last token."""

from heapq import heapify, heappop, heappush

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
from tests.differential.vllm_side.adviser import Adviser, Time
from tests.differential.vllm_side.block_policy import BlockPolicy
from tests.differential.vllm_side.build import hasher_of
from tests.differential.vllm_side.job import Job, Json
from tests.differential.vllm_side.policy_scheduler import PolicyScheduler, row_of
from tests.differential.vllm_side.tokens import Tokens


class Session:
    """Drives a scheduler by simulated time and notes every decision."""

    def __init__(self, scheduler: PolicyScheduler, job: Job) -> None:
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

    def run(self) -> list[Json]:
        """Every step: when, who computed how much, who came, went and was evicted."""
        scheduler, time = self._scheduler, self._time
        while self._arrivals or scheduler.has_unfinished_requests():
            if not scheduler.has_unfinished_requests():
                time.now_ps = max(time.now_ps, self._arrivals[0][0])
            while self._arrivals and self._arrivals[0][0] <= time.now_ps:
                scheduler.add_request(self._request(*heappop(self._arrivals)))
            self._step()
        return self._steps

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

    def _step(self) -> None:
        scheduler, time = self._scheduler, self._time
        before = {row_of(request) for request in scheduler.running}
        decision = scheduler.schedule()
        tokens = decision.num_scheduled_tokens
        work = [(scheduler.requests[name], tokens[name]) for name in tokens]
        admitted = [
            (row_of(request), request.num_computed_tokens - count)
            for request, count in work
            if row_of(request) not in before
        ]
        note = {
            "at_ps": time.now_ps,
            "work": [(row_of(request), count) for request, count in work],
            "preempted": list(scheduler.waiting.preempted),
            "admitted": admitted,
        }
        self._blocks.learn(request for request, _ in work)
        note["evicted"] = self._blocks.drain()
        time.last_step_ps = self._duration_ps(work)
        time.now_ps = note["ends_ps"] = time.now_ps + time.last_step_ps
        scheduler.update_from_output(decision, self._output(decision))
        note["finished"] = [row_of(r) for r, _ in work if r.is_finished()]
        self._steps.append(note)
        for row in note["finished"]:
            for follower in self._sessions.after(row, time.now_ps):
                heappush(self._arrivals, follower)

    def _duration_ps(self, work: list[tuple[Request, int]]) -> int:
        decoding = self._scheduler.adviser.decoding
        # vLLM counts a step's tokens as computed as soon as it is scheduled.
        done = [(r.num_computed_tokens - k, k, row_of(r) in decoding) for r, k in work]
        chunks = [(k, start) for start, k, decodes in done if not decodes]
        contexts = [start + 1 for start, _, decodes in done if decodes]
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

    def _output(self, decision: SchedulerOutput) -> ModelRunnerOutput:
        """What a model would answer: a token for whoever has computed all he has."""
        names = list(decision.num_scheduled_tokens)
        sampled = []
        for name in names:
            request = self._scheduler.requests[name]
            is_last = request.num_computed_tokens == request.num_tokens
            tokens = self._tokens.of(int(name))
            sampled.append([tokens[request.num_tokens]] if is_last else [])
        return ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: i for i, name in enumerate(names)},
            sampled_token_ids=sampled,
        )
