"""Decides what the next step of an engine does: who is admitted, who computes what."""

from evaluators.scenario import Deployment
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.hooks import Policy
from evaluators.sim.outputs import NEVER
from evaluators.sim.queue import FirstCome, Ranked
from evaluators.sim.running import RunningSet
from evaluators.sim.shown import engine_view
from evaluators.sim.step import Step
from evaluators.sim.walk import Walk


class Scheduler:
    """The waiting set and the policy's standing answers of one engine.

    ``dirty`` says that the waiting set, the memory or a slot changed since the policy
    was asked: a decision point of design section 4. ``taken`` are blocks that the next
    decode-only step has been given already. Not before ``retry_step`` (a value of
    ``Decodes.step``) does the first who waits find more in the cache. With ``retries``
    somebody may fit though the policy is not asked yet.
    """

    def __init__(
        self,
        deployment: Deployment,
        policy: Policy,
        running: RunningSet,
        queue: FirstCome | Ranked,
    ) -> None:
        self._deployment, self._policy = deployment, policy
        self._running, self.queue = running, queue
        self._budget, self._cap = deployment.max_step_tokens, 0
        self.dirty = self.retries = False
        self.taken = 0
        self.retry_step = NEVER

    @property
    def has_slot(self) -> bool:
        """Whether another request may run."""
        running = self._running
        taken = len(running.rows) + len(running.memory.reserved)
        return taken < self._deployment.max_running

    def next_step(self) -> Step | None:
        """The next step, its memory taken; None if it is decode-only, nothing taken."""
        running, waiting = self._running, self.queue.members
        attempt = bool(((self.dirty or self.retries) and waiting) or running.partials)
        if self.dirty:
            self.dirty = False
            if waiting:
                self._ask()
        if running.memory.cache is not None:
            self.retry_step = self._retry_step(running.memory.cache)
            attempt = attempt or self.retry_step == running.decodes.step
        if running.paused or running.decodes.n > self._budget:
            return self.walk()
        chunks = self._form() if attempt else []
        if chunks is None:
            return self.walk()
        return Step(chunks, []) if chunks else None

    def _retry_step(self, cache: Cache) -> int:
        """When the first who waits may fit though nobody left.

        A block that it looks for is filled; or, where not the whole prompt must fit,
        an eviction cuts what it finds short, which takes more from it than from what is
        free if it is not the last block of it. That needs blocks that have copies.
        """
        queue, running = self.queue, self._running
        if not queue.members or not self.has_slot or queue.is_held():
            return NEVER
        if not self._deployment.reserve_full_prompt:
            now = running.decodes.step
            return now if cache.has_copies else running.outputs.next_step()
        row = queue.head()
        return running.outputs.next_for(row, running.goal[row])

    def _ask(self) -> None:
        policy, queue = self._policy, self.queue
        if not (self.has_slot and policy.answers_admission):
            return
        waiting = None
        if isinstance(queue, Ranked):
            if len(queue.members) == 1 and not (
                self._running.rows and policy.holds_back
            ):
                queue.unrank()
            else:
                waiting = self._running.panel.waiting(queue.rows())
        if waiting is None and not policy.sizes_steps:
            return
        engine = engine_view(self._running, len(queue.members))
        answer = policy.admission(waiting, engine)
        if answer.budget is not None:
            self._budget = min(self._deployment.max_step_tokens, max(1, answer.budget))
        if answer.cap is not None:
            self._cap = answer.cap
        if answer.keys is not None:
            queue.rank(answer.keys)

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
                need += running.memory.blocks(done + want) - running.memory.blocks(done)
                budget -= want
                chunks.append((row, want))
        if need > running.memory.unasked:
            return None
        if running.memory.cache is not None:
            return self._form_cached(chunks, budget)
        if self.queue.members and budget > 0:
            need = self._admit(chunks, budget, need)
        if chunks:
            running.memory.take(need, running.now_ps)
        return chunks

    def _form_cached(
        self, chunks: list[tuple[int, int]], budget: int
    ) -> list[tuple[int, int]]:
        """The same with a cache: running requests take their memory first.

        What they evict decides what a waiting request finds.
        """
        running = self._running
        decodes_take = running.decodes.blocks_next() - self.taken
        running.memory.take(decodes_take, running.now_ps)
        self.taken = 0
        ends = {row: running.computed[row] + want for row, want in chunks}
        fills = running.outputs.filled(running.decodes.step)
        order = [r for r in running.rows if r in ends or r in fills] if fills else ends
        for row in order:
            if row in fills:
                running.memory.fill(row, fills[row], running.now_ps)
                continue
            blocks = running.memory.blocks(ends[row])
            blocks -= running.memory.blocks(running.computed[row])
            running.memory.grow(row, blocks, ends[row], running.now_ps)
        if self.queue.members and budget > 0:
            self._admit(chunks, budget, 0)
        if not chunks:
            self.taken = running.decodes.blocks_next()
        return chunks

    def _admit(self, chunks: list[tuple[int, int]], budget: int, need: int) -> int:
        """Admit waiting requests until one does not fit, appending their chunks.

        ``budget`` is what the running requests leave of the step, ``need`` the blocks
        that the step takes so far; returns the blocks it takes in all.
        """
        queue, running, cap = self.queue, self._running, self._prompt_cap()
        memory = running.memory
        caches = memory.cache is not None
        while queue.members and budget > 0 and self.has_slot:
            if running.rows and queue.is_held():
                break
            row = queue.head()
            hit, idle = memory.hits(row, running.goal[row])
            done = hit * self._deployment.block_tokens
            want = min(running.goal[row] - done, cap, budget)
            take = memory.blocks(done + want) - hit
            if need + self._reserve(row, take + hit) - hit + idle > memory.free:
                break
            queue.pop()
            running.admit(row)
            chunks.append((row, want))
            budget -= want
            if caches:
                running.reuse(row, hit)
                memory.grow(row, take, done + want, running.now_ps)
            else:
                need += take
        return need

    def _reserve(self, row: int, blocks: int) -> int:
        """Blocks that must be there for a request that now needs so many."""
        if self._deployment.reserve_full_prompt:
            return self._running.memory.blocks(self._running.goal[row])
        return blocks

    def _prompt_cap(self) -> int:
        """Most prompt tokens of one request in a step, as things are now."""
        alone = len(self.queue.members) + len(self._running.rows) == 1
        return (
            self._cap if self._cap and not alone else self._deployment.max_step_tokens
        )

    def walk(self) -> Step:
        """A step in running order, its memory taken."""
        running = self._running
        walk = Walk(running, self._policy, self._budget, self._prompt_cap())
        left = walk.serve(len(self.queue.members))
        for row in walk.preempted:
            if running.ledger.finished_ps[row] < 0:
                self.queue.again(row)
            self.dirty = True
        if not walk.preempted and self.queue.members and left > 0:
            need = self._admit(walk.chunks, left, 0)
            if running.memory.cache is None:
                running.memory.take(need, running.now_ps)
        return Step(walk.chunks, walk.woken)
