"""The engine by aggregates: equal decode steps are skipped at once, exactly.

A step touches only what changes in it: prefill chunks, finishes, admissions. The
decoding requests are a few sums (``decodes.py``), and a run of decode-only steps is one
closed form (``clock.py``). Steps whose allocations might fail, or whose running
requests compete for the token budget, walk the running set instead (``walk.py``).
"""

from evaluators.scenario import Scenario
from evaluators.sim.clock import steps_to_cover
from evaluators.sim.hooks import Policy
from evaluators.sim.panel import Panel, oversized
from evaluators.sim.queue import FirstCome, Ranked
from evaluators.sim.reference import simulate_plainly
from evaluators.sim.run import Run
from evaluators.sim.running import RunningSet
from evaluators.sim.walk import Walk
from evaluators.workloads.trace import PS_PER_S


def simulate(scenario: Scenario, policy: object) -> Run:
    """Serve a scenario; ``policy`` may lack any hook, or be None.

    Equal to ``simulate_plainly`` on every request, to the picosecond, and faster by an
    order of magnitude. Whole plans and policies asked in every iteration take the plain
    path. Raises ``PolicyError`` for a policy's fault.
    """
    hooks = Policy(policy)
    if hooks.schedule or hooks.ask == 0:
        return simulate_plainly(scenario, policy, skips=hooks.ask != 0)
    engine = FastEngine(scenario, hooks)
    while engine.advance():
        pass
    return engine.result()


class FastEngine:
    """State of one engine; ``advance`` goes to the next event.

    ``_dirty`` says that the waiting set, the memory or a slot changed since the policy
    was asked: a decision point of design section 4.
    """

    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        self._deployment, self._policy = scenario.deployment, policy
        self._panel = Panel(scenario)
        self._running = RunningSet(scenario, self._panel)
        self._queue: FirstCome | Ranked = Ranked() if policy.admit_key else FirstCome()
        rejected = oversized(scenario)
        self._running.record.rejected.extend(rejected)
        self._arrivals = _arrivals(scenario, set(rejected))
        self._is_timed, self._next_ask_ps = policy.ask is not None, 0
        self._budget, self._cap = scenario.deployment.max_step_tokens, 0
        self._dirty = False

    def advance(self) -> bool:
        """Go to the next event; False when every request is done."""
        running = self._running
        if not running.rows and not self._queue.members:
            if not self._arrivals:
                return False
            running.now_ps = max(running.now_ps, self._arrivals[-1][0])
        arrivals = self._arrivals
        if self._is_timed or (arrivals and arrivals[-1][0] <= running.now_ps):
            self._arrive()
        waiting = self._queue.members
        attempt = (self._dirty and waiting) or running.partials
        if self._dirty:
            self._dirty = False
            if waiting:
                self._ask()
        if running.paused or running.decodes.n > self._budget:
            self._walk()
            return True
        chunks = self._form() if attempt else []
        if chunks is None:
            self._walk()
        elif chunks:
            self._dirty |= running.compute(chunks)
        else:
            self._skip()
        return True

    def result(self) -> Run:
        """What happened, once ``advance`` has said that nothing follows."""
        running, total = self._running, self._deployment.kv_blocks
        return running.record.run(
            questions=self._policy.questions,
            peak_blocks=total - running.least_free,
            end_blocks=total - running.free,
        )

    def _arrive(self) -> None:
        arrivals, now = self._arrivals, self._running.now_ps
        while arrivals and arrivals[-1][0] <= now:
            row = arrivals.pop()[1]
            self._panel.show(row)
            self._queue.arrive(row)
            self._running.tenants.wait(row)
            self._dirty = True
        period = self._policy.ask
        if period is not None and now >= self._next_ask_ps:
            self._next_ask_ps = now + int(period * PS_PER_S)
            self._dirty = True

    def _has_slot(self) -> bool:
        return len(self._running.rows) < self._deployment.max_running

    def _ask(self) -> None:
        policy, queue = self._policy, self._queue
        if not (self._has_slot() and policy.answers_admission):
            return
        waiting = None
        if isinstance(queue, Ranked):
            if len(queue.members) == 1 and not (
                self._running.rows and policy.holds_back
            ):
                queue.unrank()
            else:
                waiting = self._panel.waiting(queue.rows())
        if waiting is None and not policy.sizes_steps:
            return
        engine = self._running.engine_view(len(queue.members))
        answer = policy.admission(waiting, engine)
        if answer.budget is not None:
            self._budget = min(self._deployment.max_step_tokens, max(1, answer.budget))
        if answer.cap is not None:
            self._cap = answer.cap
        if answer.keys is not None:
            queue.rank(answer.keys)

    # -- forming a step ----------------------------------------------------------

    def _form(self) -> list[tuple[int, int]] | None:
        """Prefill chunks of the next step, their memory taken; None if it must walk.

        With no chunk at all nothing is taken: the step is one of a skip.
        """
        running, decodes = self._running, self._running.decodes
        need = decodes.blocks_next()
        budget = self._budget - decodes.n
        cap = self._prompt_cap()
        chunks: list[tuple[int, int]] = []
        for row in running.partials:
            done = running.computed[row]
            want = min(running.goal[row] - done, cap)
            if want > budget:
                if len(running.partials) > 1 or next(reversed(running.rows)) != row:
                    return None
                want = budget
            if want:
                need += running.blocks(done + want) - running.blocks(done)
                budget -= want
                chunks.append((row, want))
        if need > running.free:
            return None
        if self._queue.members and budget > 0:
            need = self._admit(chunks, budget, need)
        if chunks:
            running.take_blocks(need)
        return chunks

    def _admit(self, chunks: list[tuple[int, int]], budget: int, need: int) -> int:
        """Admit waiting requests until one does not fit, appending their chunks.

        ``budget`` is what the running requests leave of the step, ``need`` the blocks
        that the step takes so far; returns the blocks it takes in all.
        """
        queue, running, cap = self._queue, self._running, self._prompt_cap()
        reserve = self._deployment.reserve_full_prompt
        while queue.members and budget > 0 and self._has_slot():
            if running.rows and queue.is_held():
                break
            row = queue.head()
            want = min(running.goal[row], cap, budget)
            take = running.blocks(want)
            whole = running.blocks(running.goal[row]) if reserve else take
            if need + max(take, whole) > running.free:
                break
            queue.pop()
            running.admit(row)
            chunks.append((row, want))
            need += take
            budget -= want
        return need

    def _prompt_cap(self) -> int:
        """Most prompt tokens of one request in a step, as things are now."""
        alone = len(self._queue.members) + len(self._running.rows) == 1
        return (
            self._cap if self._cap and not alone else self._deployment.max_step_tokens
        )

    # -- taking steps ------------------------------------------------------------

    def _walk(self) -> None:
        running = self._running
        walk = Walk(running, self._policy, self._budget, self._prompt_cap())
        left = walk.serve(len(self._queue.members))
        for row in walk.preempted:
            self._queue.again(row)
            self._dirty = True
        if not walk.preempted and self._queue.members and left > 0:
            running.take_blocks(self._admit(walk.chunks, left, 0))
        self._dirty |= running.compute(walk.chunks, tuple(walk.woken))

    def _skip(self) -> None:
        """Take decode-only steps up to the next event that can change anything."""
        running, decodes = self._running, self._running.decodes
        durations = running.next_ps()
        steps = decodes.next_finish() - decodes.step
        until = self._next_event_ps()
        if until is not None:
            steps = min(steps, steps_to_cover(until - running.now_ps, *durations))
        blocks = decodes.blocks_over(steps)
        if blocks > running.free:
            steps = decodes.steps_within(running.free)
            blocks = decodes.blocks_over(steps)
        if steps == 0:
            self._walk()
            return
        running.take_blocks(blocks)
        self._dirty |= running.skip(steps, durations)

    def _next_event_ps(self) -> int | None:
        """When time alone brings a decision point; None if it does not."""
        at = None
        blocked = self._queue.members and not self._policy.answers_admission
        if self._arrivals and self._has_slot() and not blocked:
            at = self._arrivals[-1][0]
        if self._policy.ask is not None:
            at = self._next_ask_ps if at is None else min(at, self._next_ask_ps)
        return at


def _arrivals(scenario: Scenario, rejected: set[int]) -> list[tuple[int, int]]:
    """(arrival, row) of every request that is let in, the last arrival first."""
    pairs = enumerate(scenario.trace.arrived_ps.tolist())
    return [(at, row) for row, at in pairs if row not in rejected][::-1]
