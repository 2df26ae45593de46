"""The plain engine with a tier of host memory below its prefix cache.

An admission finds the leading blocks that the GPU's cache has, then those behind them
that the host has (``store.py``); these are loaded into fresh blocks. A preempted
request needs no copy of its own: its full blocks are in the caches like any others,
and what does not fill a block is computed again.
"""

from dataclasses import replace

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.hooks import Policy
from evaluators.sim.host.copies import Copies, stall_columns
from evaluators.sim.host.forgetting import Forgetting
from evaluators.sim.host.landing import LandingEngine
from evaluators.sim.host.store import Store
from evaluators.sim.ledger import Ledger
from evaluators.sim.plain.request import Request, capped
from evaluators.sim.plain.state import Work
from evaluators.sim.run import Run


class CachingEngine(LandingEngine):
    """A plain engine whose evicted blocks are found again in host memory.

    ``_landing`` says when the loaded contents are there, ``_vacant_ps`` when the GPU
    memory that was taken since the last step has been left by all copies, ``_offered``
    how many leading blocks of a request were copied to the host already.
    """

    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        ledger: Ledger | None = None,
        cache: Cache | None = None,
        *,
        skips: bool = False,
    ) -> None:
        super().__init__(scenario, policy, ledger, cache, skips=skips)
        host = scenario.deployment.host_memory
        assert host is not None, "an engine without host memory"
        assert isinstance(cache, Forgetting), "a cache that tells"
        self.memory, self.store, self._host = cache, Store(host), host
        cache.gone = self._gone
        self._landing: dict[int, int] = {}
        self._vacant_ps = 0
        self._offered: dict[int, int] = {}
        self._stalls: list[tuple[int, int]] = []

    def result(self) -> Run:
        """See ``PlainEngine``; with what was copied."""
        return replace(super().result(), copies=self.copies)

    @property
    def copies(self) -> Copies:
        """What was copied so far."""
        store, size = self.store, self.scenario.deployment.block_tokens
        stalled_at_ps, stall_ps = stall_columns(self._stalls)
        assumed = [c.name for c in self._host.curves if c.status == "assumed"]
        return Copies(
            swaps=0,
            refused=store.refused,
            out_bytes=store.moved_bytes[0],
            back_bytes=store.moved_bytes[1],
            spared_bytes=store.spared * self._host.block_bytes,
            tiers=store.tiers(),
            stalled_at_ps=stalled_at_ps,
            stall_ps=stall_ps,
            peak_blocks=store.peak_blocks,
            end_blocks=0,
            kept_laws=store.keeps_its_laws(),
            assumed=tuple(assumed),
            hit_tokens=store.loaded_blocks * size,
            load_ps=store.load_ps,
        )

    def found_tokens(self, row: int, goal: int) -> int:
        """Leading tokens of a request that the GPU or the host has."""
        hit = self.memory.hits(row, goal).blocks
        found = hit + len(self._further(row, goal, hit))
        return found * self.scenario.deployment.block_tokens

    def admit(self, request: Request, cap: int, budget: int) -> int | None:
        """See ``PlainEngine``; what the host has is loaded behind what is found."""
        row, size = request.row, self.scenario.deployment.block_tokens
        hit, idle = self.memory.hits(row, request.goal)
        further = self._further(row, request.goal, hit)
        done = (hit + len(further)) * size
        ready_ps = self._ready_ps(row, hit)
        waits = self._host.overlaps and (further or ready_ps > self.now_ps)
        want = 0 if waits else min(capped(request.goal - done, cap), budget)
        most = done + want
        if self.scenario.deployment.reserve_full_prompt:
            most = request.goal
        if self.blocks(most) - hit + idle > self.free:
            return None
        self.memory.admit(row, hit, self.now_ps)
        self.store.touch(self.memory.contents.first(row, hit + len(further)))
        if further:
            ready_ps = max(ready_ps, self._load(row, further, done))
        self.free = self.memory.free
        request.computed = done
        request.ready_ps = ready_ps if self._host.overlaps else self.now_ps
        self.ledger.hit_tokens[row] += done
        self._offered[row] = 0
        self._allocate(request, want)
        self._enter(request)
        return want

    def reserve(self, row: int, blocks: int) -> bool:
        """See ``PlainState``; no step waits for this memory."""
        vacant_ps = self._vacant_ps
        is_kept = super().reserve(row, blocks)
        self._vacant_ps = vacant_ps
        return is_kept

    def join(self, row: int, generated: int, last_token_ps: int) -> None:
        """See ``PlainState``."""
        super().join(row, generated, last_token_ps)
        self._offered[row] = 0

    def _found(self, row: int) -> int:
        return self.found_tokens(row, self.requests[row].goal)

    def _further(self, row: int, goal: int, hit: int) -> list[int]:
        """Contents behind those found on the GPU that the host has."""
        most = (goal - 1) // self.scenario.deployment.block_tokens
        contents = self.memory.contents.between(row, hit, most)
        return contents[: self.store.find(contents)]

    def _ready_ps(self, row: int, hit: int) -> int:
        """When the first blocks of a request, found on the GPU, are there."""
        landing, now = self._landing, self.now_ps
        if landing and max(landing.values()) <= now:
            landing.clear()
        if not landing:
            return now
        found = self.memory.contents.first(row, hit)
        return max((landing.get(content, now) for content in found), default=now)

    def _load(self, row: int, contents: list[int], done: int) -> int:
        """Take memory for contents and begin to load them; says when they are there.

        The copy waits until others have left that memory.
        """
        vacant_ps, self._vacant_ps = self._vacant_ps, self.now_ps
        self.store.pin(contents, self.now_ps)
        self.memory.grow(row, len(contents), self.now_ps)
        self.memory.fill(row, done, self.now_ps)
        self.free = self.memory.free
        self.least_free = min(self.least_free, self.free)
        landed_ps = self.store.load(self._vacant_ps)
        self._vacant_ps = vacant_ps
        if self._host.overlaps:
            self._landing.update(dict.fromkeys(contents, landed_ps))
        return landed_ps

    def _gone(self, content: int) -> None:
        """The GPU's cache evicts a content; its memory is taken at once."""
        left_ps = max(self.now_ps, self._landing.get(content, 0))
        if self._host.writes == "back":
            left_ps = self.store.put(content, left_ps)
        self._vacant_ps = max(self._vacant_ps, left_ps, self.store.left_ps(content))

    def _begins_ps(self) -> int:
        now, at = self.now_ps, max(self.now_ps, self._vacant_ps)
        if not self._host.overlaps:
            at = max(at, self.store.free_ps())
        self._vacant_ps = 0
        if at > now:
            self._stalls.append((now, at - now))
        return at

    def _compute(self, work: Work, ends_ps: int) -> None:
        super()._compute(work, ends_ps)
        for request, _ in work:
            if request.row in self._offered:
                self._offer(request)

    def _release(self, request: Request) -> None:
        self._offer(request)
        del self._offered[request.row]
        full = request.computed // self.scenario.deployment.block_tokens
        self.store.touch(self.memory.contents.first(request.row, full))
        super()._release(request)

    def _offer(self, request: Request) -> None:
        """Copy what is new of a request to the host, where that is done at once."""
        if self._host.writes != "through":
            return
        row, start = request.row, self._offered[request.row]
        stop = request.computed // self.scenario.deployment.block_tokens
        for content in self.memory.contents.between(row, start, stop):
            complete_ps = max(self.now_ps, self._landing.get(content, 0))
            self.store.put(content, complete_ps)
        self._offered[row] = max(start, stop)
