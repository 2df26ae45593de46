"""Requests that hold KV memory, how far they are, and what a step does to them."""

from collections.abc import Mapping
from types import MappingProxyType

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.clock import Clock, total_ps
from evaluators.sim.decodes import Decodes
from evaluators.sim.kv_memory import KvMemory
from evaluators.sim.ledger import Ledger
from evaluators.sim.outputs import Outputs
from evaluators.sim.panel import Panel, n_tenants
from evaluators.sim.progress import Progress
from evaluators.sim.recorder import Recorder
from evaluators.sim.run import Decision
from evaluators.sim.step import Coming, Step
from evaluators.sim.tenants import Tenants


class RunningSet:
    """The running set of one engine, its memory and its clock.

    ``rows`` are in running order. A running row is in exactly one of ``decodes`` (emits
    a token in every step), ``partials`` (prefill not done) and ``paused`` (past its
    prefill, but without a token in the last step). ``goal`` is the number of computed
    tokens at which a request emits next; it is current for rows outside ``decodes``.
    ``finished`` are rows that ended, for the caller to clear.
    ``waiting_tokens`` and ``waiting_blocks`` are what waiting requests need to emit.
    Requests ``leaving`` go on elsewhere after their next token: they end here, ``kept``
    in memory until that is done. ``coming`` and ``lingering`` rows are of a step that
    has not ended when the next one is decided (``coming.py``); else there are none.
    """

    coming: Coming | None = None
    lingering: Mapping[int, None] = MappingProxyType({})

    def __init__(
        self,
        scenario: Scenario,
        panel: Panel,
        ledger: Ledger,
        cache: Cache | None,
        *,
        is_led: bool,
    ) -> None:
        trace, n = scenario.trace, len(scenario.trace)
        self.deployment = scenario.deployment
        self.panel, self.record, self.ledger = panel, Recorder(), ledger
        self.memory = KvMemory(scenario.deployment, cache)
        self.finished: list[int] = []
        self._ended: list[int] = []
        self.leaving: set[int] = set()
        self.kept: dict[int, None] = {}
        self.progress = Progress(scenario, is_led)
        self.clock = Clock(scenario.step_time, scenario.deployment)
        self.decodes = Decodes(n, scenario.deployment.block_tokens)
        self.outputs, self._caches = Outputs(scenario, cache), cache is not None
        self.tenants = Tenants(trace.tenant.tolist(), n_tenants(scenario))
        self.rows: dict[int, None] = {}
        self.partials: dict[int, None] = {}
        self.paused: dict[int, None] = {}
        self.goal: list[int] = trace.prompt_tokens.tolist()
        self.output: list[int] = trace.output_tokens.tolist()
        self.computed = [0] * n
        self.generated = [0] * n
        self.last_token_ps = [-1] * n
        self._segment_start = [0] * n
        self.now_ps = self.last_step_ps = 0
        self.waiting_tokens = self.waiting_blocks = 0

    def computed_tokens(self, row: int) -> int:
        """Computed tokens of a running request."""
        if self.decodes.finish[row] >= 0:
            return self.decodes.computed(row)
        return self.computed[row]

    # -- membership --------------------------------------------------------------

    def wait(self, row: int) -> None:
        """A request arrives."""
        self.tenants.wait(row)
        self.waiting_tokens += self.goal[row]
        self.waiting_blocks += self.memory.blocks(self.goal[row])

    def admit(self, row: int) -> None:
        """A waiting request joins; it holds no memory before its first chunk."""
        now = self.now_ps
        self.waiting_tokens -= self.goal[row]
        self.waiting_blocks -= self.memory.blocks(self.goal[row])
        self.rows[row] = self.partials[row] = None
        self.tenants.run(row)
        if self.ledger.admitted_ps[row] < 0:
            self.ledger.admitted_ps[row] = now
        self.record.decisions.append(Decision(now, "admit", row))

    def reuse(self, row: int, n_hit: int) -> None:
        """A request that joins starts after so many blocks found in the cache."""
        self.memory.reuse(row, n_hit, self.now_ps)
        tokens = n_hit * self.deployment.block_tokens
        self.computed[row] = tokens
        self.ledger.hit_tokens[row] += tokens

    def preempt(self, row: int) -> None:
        """A request leaves with its memory freed, to be recomputed; see ``panel``."""
        if self.decodes.finish[row] >= 0:
            self.stop_decoding(row)
        self.partials.pop(row, None)
        self.paused.pop(row, None)
        self.rows.pop(row, None)
        self._release(row)
        self.computed[row] = 0
        self.tenants.preempt(row)
        self.note_preemption(row)
        needed = self.memory.blocks(self.goal[row])
        self.waiting_tokens += self.goal[row]
        self.waiting_blocks += needed
        last = self.last_token_ps[row]
        self.panel.update(row, self.generated[row], needed, last)

    def note_preemption(self, row: int) -> None:
        """Record that a request was preempted."""
        self.progress.stall()
        self.ledger.preemptions[row] += 1
        self.record.decisions.append(Decision(self.now_ps, "preempt", row))

    def _release(self, row: int) -> None:
        self.memory.release(row, self.computed[row], self.now_ps)

    def stop_decoding(self, row: int) -> None:
        """A decoding request leaves the aggregates, its progress noted."""
        decodes = self.decodes
        left = decodes.remaining(row)
        self.generated[row] = self.output[row] - left
        self.computed[row] = decodes.remove(row)
        if self._caches:
            self.outputs.stop(row)
        self.goal[row] = self.computed[row] + 1
        self.tenants.stop_decoding(row, decodes.step)
        last = self.record.n_runs - 1
        if self._segment_start[row] <= last:
            self.record.segments.extend((row, self._segment_start[row], last))
        self.last_token_ps[row] = self.now_ps

    def _start_decoding(self, row: int) -> None:
        remaining = self.output[row] - self.generated[row]
        self.decodes.add(row, self.computed[row], remaining)
        if self._caches:
            self.outputs.start(row, self.computed[row], self.decodes.step)
        self.tenants.start_decoding(row, self.decodes.step)
        self._segment_start[row] = self.record.n_runs

    def _let_go(self) -> None:
        """Requests that ended with this step leave, in running order.

        The order decides which of their blocks a cache evicts first.
        """
        rows = self._ended
        if len(rows) > 1 and self.memory.cache is not None:
            ended = set(rows)
            rows = [row for row in self.rows if row in ended]
        for row in rows:
            del self.rows[row]
            self.tenants.finish(row)
            leaves = row in self.leaving and self.generated[row] < self.output[row]
            self.leaving.discard(row)
            if leaves:
                self.kept[row] = None
            else:
                self._release(row)
                self.ledger.finished_ps[row] = self.now_ps
        self.finished += rows
        self._ended = []

    # -- steps -------------------------------------------------------------------

    def duration_ps(self, step: Step) -> int:
        """How long a step of the decoding requests and of ``step`` takes."""
        tokens = work = ends = 0
        for row, k in step.chunks:
            done = self.computed[row]
            end = done + k
            tokens += k
            work += k * (end + done)
            ends += end
        contexts = [self.computed[row] + 1 for row in step.woken]
        decodes = self.decodes
        n = decodes.n + len(contexts)
        longest = 0
        if self.clock.longest_ps:
            longest = max(decodes.longest_context(), *contexts, 0)
        context = decodes.context_tokens() + sum(contexts)
        prefill = tokens, work, len(step.chunks), ends
        return self.clock.duration_ps(prefill, n, context, longest)

    def compute(self, step: Step, duration: int) -> bool:
        """Take one step, which takes so long; its memory was taken before.

        Returns whether a request finished or ended its prefill.
        """
        chunks, woken = step
        n = emitted = self.decodes.n + len(woken)
        tokens = sum(k for _, k in chunks)
        finished = self._pass(1, (duration, 0), n, tokens)
        for row in woken:
            del self.paused[row]
            finished |= self._emit(row, 1)
        for row, k in chunks:
            self.tenants.prefill(row, k)
            if self.computed[row] + k < self.goal[row]:
                self.computed[row] += k
                continue
            del self.partials[row]
            self._emit(row, k)
            finished = True
            emitted += 1
        if self._ended:
            self._let_go()
        self.progress.spend(1, emitted)
        return finished

    def skip(self, steps: int, durations: tuple[int, int]) -> bool:
        """Take so many decode-only steps; returns whether a request finished.

        ``durations`` are what ``next_ps`` says; memory is taken before.
        """
        n = self.decodes.n
        finished = self._pass(steps, durations, n, 0)
        if finished:
            self._let_go()
        self.progress.spend(steps, n)
        return finished

    def next_ps(self) -> tuple[int, int]:
        """Duration of the next decode-only step, and how much each later one grows.

        This holds of as many as the clock's ``steps_to_edge`` says.
        """
        decodes, clock = self.decodes, self.clock
        n, context = decodes.n, decodes.context_tokens()
        if clock.edges is not None or clock.longest_ps:
            longest = decodes.longest_context() if clock.longest_ps else 0
            return clock.pace_ps(n, context, longest)
        context_ps = clock.context_ps[n]
        return clock.idle_ps[n] + context_ps * context, context_ps * n

    def span_ps(self, steps: int, durations: tuple[int, int]) -> int:
        """Duration of so many decode-only steps; ``durations`` are of ``next_ps``."""
        decodes, clock = self.decodes, self.clock
        if clock.edges is None:
            return total_ps(steps, *durations)
        longest = decodes.longest_context() if clock.longest_ps else 0
        return clock.span_ps(steps, decodes.n, decodes.context_tokens(), longest)

    def _pass(self, steps: int, ps: tuple[int, int], n: int, tokens: int) -> bool:
        """Let time pass for equal steps, and let go of requests that are done."""
        decodes = self.decodes
        first, growth = ps
        gaps = decodes.n
        self.record.steps.extend((self.now_ps, steps, first, growth, gaps, n, tokens))
        self.now_ps += steps * first + growth * (steps * (steps - 1) // 2)
        self.last_step_ps = first + growth * (steps - 1)
        decodes.step += steps
        if not decodes.n or decodes.next_finish() > decodes.step:
            return False
        rows = decodes.finished()
        for row in rows:
            self.stop_decoding(row)
        self._ended += rows
        return bool(rows)

    def _emit(self, row: int, computed: int) -> bool:
        """A token outside the aggregates; returns whether it was the last."""
        self.computed[row] += computed
        if self.last_token_ps[row] < 0:
            self.ledger.first_token_ps[row] = self.now_ps
        else:
            self.ledger.resume(row, self.now_ps - self.last_token_ps[row])
        self.last_token_ps[row] = self.now_ps
        self.generated[row] += 1
        self.goal[row] += 1
        self.tenants.emit(row)
        if self.generated[row] == self.output[row] or row in self.leaving:
            self._ended.append(row)
            return True
        self._start_decoding(row)
        return False
