"""What an engine asks of KV memory that keeps blocks for later requests."""

from typing import Protocol


class Memory(Protocol):
    """KV blocks of one engine with prefix caching, as in vLLM 0.32's block pool.

    A block is *full* when all its tokens are computed or scheduled; full blocks are
    found by their contents: those of the request's chain, and past it the request's
    own. ``free`` counts the blocks that can be had: never used, let go before they were
    full, or full and held by nobody. ``n_copies`` counts full blocks whose contents are
    in memory more than once. Times are in picoseconds.
    """

    free: int
    n_copies: int
    questions: int

    def hits(self, row: int, goal: int) -> tuple[int, int]:
        """Leading full blocks of the request in memory, and how many nobody holds.

        At least one of its ``goal`` tokens is left to compute.
        """
        ...

    def admit(self, row: int, n_hit: int, now_ps: int) -> None:
        """The request holds so many leading blocks that were found."""
        ...

    def grow(self, row: int, n_blocks: int, now_ps: int) -> None:
        """The request takes so many new blocks, at most ``free``."""
        ...

    def grow_all(self, n_blocks: int, now_ps: int) -> None:
        """Decoding requests take so many new blocks; whose shows at their release."""
        ...

    def fill(self, row: int, tokens: int, now_ps: int) -> None:
        """So many tokens of the request are computed or scheduled by now."""
        ...

    def release(self, row: int, tokens: int, now_ps: int) -> None:
        """The request lets go of the blocks of its computed tokens, the last first."""
        ...
