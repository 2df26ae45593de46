"""Decoding requests as aggregates that a step changes in constant time."""

from heapq import heappop, heappush


class Decodes:
    """Requests that emit one token in every step, and sums over them.

    ``step`` counts steps. A request's *base* is its computed tokens minus ``step`` when
    it joined, so that base + step is its computed tokens at any time. A step needs a
    new block for each request whose computed tokens are a multiple of the block size,
    so ``residues`` counts requests by -base modulo the block size.
    """

    __slots__ = (
        "_base_sum",
        "_bases",
        "_finishes",
        "_longest",
        "block_tokens",
        "finish",
        "n",
        "residues",
        "step",
    )

    def __init__(self, rows: int, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.step = 0
        self.n = 0
        self.residues = [0] * block_tokens
        self.finish = [-1] * rows
        self._bases = [0] * rows
        self._base_sum = 0
        self._finishes: list[tuple[int, int]] = []
        self._longest: list[tuple[int, int]] = []

    def add(self, row: int, computed: int, remaining: int) -> None:
        """A request joins from the next step on and emits ``remaining`` more tokens."""
        base = computed - self.step
        self._bases[row] = base
        self._base_sum += base
        self.n += 1
        self.residues[-base % self.block_tokens] += 1
        finish = self.step + remaining
        self.finish[row] = finish
        heappush(self._finishes, (finish, row))
        heappush(self._longest, (-base, row))

    def remove(self, row: int) -> int:
        """A request leaves; returns its computed tokens."""
        base = self._bases[row]
        self._base_sum -= base
        self.n -= 1
        self.residues[-base % self.block_tokens] -= 1
        self.finish[row] = -1
        return base + self.step

    def computed(self, row: int) -> int:
        """Computed tokens of a decoding request."""
        return self._bases[row] + self.step

    def remaining(self, row: int) -> int:
        """Tokens that a decoding request has yet to emit."""
        return self.finish[row] - self.step

    def computed_tokens(self) -> int:
        """Computed tokens of all decoding requests."""
        return self._base_sum + self.n * self.step

    def context_tokens(self) -> int:
        """Sum of the KV lengths that the next step reads, its new tokens included."""
        return self._base_sum + self.n * (self.step + 1)

    def longest_context(self) -> int:
        """Longest KV length that the next step reads; 0 when none decodes."""
        heap = self._longest
        while heap:
            base = -heap[0][0]
            row = heap[0][1]
            if self.finish[row] >= 0 and self._bases[row] == base:
                return base + self.step + 1
            heappop(heap)
        return 0

    def next_finish(self) -> int:
        """Value of ``step`` at which the first request finishes; needs a request."""
        heap = self._finishes
        while self.finish[heap[0][1]] != heap[0][0]:
            heappop(heap)
        return heap[0][0]

    def finished(self) -> list[int]:
        """Rows that have emitted their last token by now, in order of row."""
        heap, step = self._finishes, self.step
        rows: list[int] = []
        while heap and heap[0][0] <= step:
            finish, row = heappop(heap)
            if self.finish[row] == finish and row not in rows:
                rows.append(row)
        return rows

    def blocks_next(self) -> int:
        """Blocks that the next step needs."""
        return self.residues[self.step % self.block_tokens]

    def blocks_over(self, steps: int) -> int:
        """Blocks that the next ``steps`` steps need."""
        size = self.block_tokens
        whole, rest = divmod(steps, size)
        at = self.step % size
        total = whole * self.n
        if rest:
            end = at + rest
            total += sum(self.residues[at:end])
            if end > size:
                total += sum(self.residues[: end - size])
        return total

    def steps_within(self, blocks: int) -> int:
        """Most steps that need at most ``blocks`` blocks; needs a request."""
        whole, left = divmod(blocks, self.n)
        size = self.block_tokens
        steps = whole * size
        at = self.step
        while True:
            need = self.residues[at % size]
            if need > left:
                return steps
            left -= need
            steps += 1
            at += 1
