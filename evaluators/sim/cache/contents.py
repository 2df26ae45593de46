"""What the full KV blocks of each request hold, as numbers."""

from collections.abc import Sequence

from evaluators.workloads.prefixes import Prefixes


class Contents:
    """Content of block j of each request; equal contents are equal blocks.

    Chains of a trace with larger blocks are cut into the engine's blocks. Past its
    chain a request's blocks have contents of its own, below 0, which nobody else can
    have: a preempted request finds them again, as in vLLM.
    """

    __slots__ = ("_chains", "_parts", "_prefixes", "_rows")

    def __init__(
        self, prefixes: Prefixes | None, n_rows: int, block_tokens: int
    ) -> None:
        """Raise ``ValueError`` when blocks of the trace are no multiple of ours."""
        self._prefixes, self._rows = prefixes, n_rows
        self._parts = 1 if prefixes is None else prefixes.block_tokens // block_tokens
        if prefixes is not None and prefixes.block_tokens != self._parts * block_tokens:
            raise ValueError(
                f"blocks of the trace hold {prefixes.block_tokens} tokens; expected a "
                f"multiple of the engine's {block_tokens}"
            )
        self._chains: dict[int, list[int]] = {}

    def chain(self, row: int) -> Sequence[int]:
        """Shared contents of a request, in prefix order; kept until ``forget``."""
        chain = self._chains.get(row)
        if chain is None:
            chain = self._chains[row] = self._expanded(row)
        return chain

    def first(self, row: int, n_blocks: int) -> list[int]:
        """Contents of the first so many blocks of a request."""
        return self.between(row, 0, n_blocks)

    def between(self, row: int, start: int, stop: int) -> list[int]:
        """Contents of blocks ``start`` to ``stop`` (excluded) of a request."""
        chain, rows = self.chain(row), self._rows
        shared = list(chain[start:stop])
        past = range(max(start, len(chain)), stop)
        return shared + [-1 - (j * rows + row) for j in past] if past else shared

    def forget(self, row: int) -> None:
        """The request holds nothing any more."""
        self._chains.pop(row, None)

    def _expanded(self, row: int) -> list[int]:
        if self._prefixes is None:
            return []
        ids, parts = self._prefixes.chain(row), self._parts
        if parts == 1:
            return list(ids.tolist())
        return [i * parts + part for i in ids.tolist() for part in range(parts)]
