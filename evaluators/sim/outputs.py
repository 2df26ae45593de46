"""Full blocks of outputs that others can find while more is generated.

A block can be found from the step that fills it. Steps that only decode are skipped
many at a time, so this notes who fills a block when that others may look for. The rest
of an output is filled when its request leaves, which nobody can tell.
"""

from collections.abc import Iterable
from heapq import heappop, heappush

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.cache.sought import sought_tokens
from evaluators.workloads.trace import Trace

NEVER = 1 << 62
"""More steps than any request takes."""


class Outputs:
    """When decoding requests fill blocks that matter to others.

    Times are values of ``Decodes.step`` as a step begins. ``_due`` has the time and the
    tokens computed then of the next such block of each request. ``_until`` has how many
    leading blocks matter of each, which is known once the first decodes.
    """

    __slots__ = ("_cache", "_due", "_heap", "_is_asked", "_size", "_trace", "_until")

    def __init__(self, scenario: Scenario, cache: Cache | None) -> None:
        self._cache, self._size = cache, scenario.deployment.block_tokens
        self._is_asked = cache is not None and cache.decides
        self._trace: Trace | None = None if cache is None else scenario.trace
        self._until: list[int] | None = None
        self._due: dict[int, tuple[int, int]] = {}
        self._heap: list[tuple[int, int]] = []

    def start(self, row: int, computed: int, step: int) -> None:
        """A request with so many tokens decodes from this step on.

        An eviction policy is shown what continues a block, of which another one may
        have the content; so the first block after a prompt matters to it, too.
        """
        if self._trace is not None:
            self._until = self._learned(self._trace)
            self._trace = None
        if self._until is None:
            return
        depth = computed // self._size
        if self._is_asked or depth < self._until[row]:
            tokens = (depth + 1) * self._size
            self._note(row, step + tokens - 1 - computed, tokens)

    def stop(self, row: int) -> None:
        """A request does not decode any more."""
        self._due.pop(row, None)

    def next_step(self) -> int:
        """When such a block is filled next."""
        heap = self._heap
        while heap:
            step, row = heap[0]
            if row in self._due and self._due[row][0] == step:
                return step
            heappop(heap)
        return NEVER

    def filled(self, step: int) -> dict[int, int]:
        """Who fills a block in this step, the next one, and tokens computed then."""
        found: dict[int, int] = {}
        while self.next_step() == step:
            _, row = heappop(self._heap)
            tokens = found[row] = self._due.pop(row)[1]
            assert self._until is not None
            depth = tokens // self._size
            if depth < self._until[row] + self._is_asked:
                self._note(row, step + self._size, tokens + self._size)
        return found

    def fill_before(self, step: int, rows: Iterable[int], now_ps: int) -> None:
        """Let decode-only steps before this one fill blocks, in running order."""
        while (due := self.next_step()) < step:
            assert self._cache is not None
            fills = self.filled(due)
            in_order = fills if len(fills) == 1 else [r for r in rows if r in fills]
            for row in in_order:
                self._cache.fill(row, fills[row], now_ps)

    def next_for(self, row: int, goal: int) -> int:
        """When a block is filled next that a waiting request might find."""
        if not self._due or self._cache is None:
            return NEVER
        contents, size = self._cache.contents, self._size
        sought = contents.chain(row)
        most, first = min((goal - 1) // size, len(sought)), NEVER
        for other, (step, tokens) in self._due.items():
            depth = tokens // size - 1
            if depth < most and step < first:
                chain = contents.chain(other)
                if depth < len(chain) and chain[depth] == sought[depth]:
                    first = step
        return first

    def _learned(self, trace: Trace) -> list[int] | None:
        """Leading blocks of each request that matter; None if there are none.

        Who hears what the cache holds hears of every block of a chain.
        """
        tokens = sought_tokens(trace)
        if self._cache is not None and self._cache.is_listed and trace.prefixes:
            tokens = np.diff(trace.prefixes.offsets) * trace.prefixes.block_tokens
        if self._is_asked or np.any(tokens > trace.prompt_tokens):
            blocks: list[int] = (tokens // self._size).tolist()
            return blocks
        return None

    def _note(self, row: int, step: int, tokens: int) -> None:
        self._due[row] = step, tokens
        heappush(self._heap, (step, row))
