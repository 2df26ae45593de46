"""Tokens of requests, equal exactly where a trace says that blocks are equal."""

import numpy as np

from evaluators.workloads.trace import Trace


class Tokens:
    """Whole token sequences, prompt and output, of the rows of a trace.

    The tokens of a block that the trace names are all its id, so that equal ids after
    equal ids are equal tokens after equal tokens. Other tokens are the row's own.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        prefixes = trace.prefixes
        self._first_own = int(prefixes.ids.max(initial=-1)) + 1 if prefixes else 0
        self._sequences: dict[int, list[int]] = {}

    def of(self, row: int) -> list[int]:
        """Tokens of the prompt and of the whole output to come."""
        if row not in self._sequences:
            self._sequences[row] = self._sequence(row)
        return self._sequences[row]

    def _sequence(self, row: int) -> list[int]:
        trace = self._trace
        length = int(trace.prompt_tokens[row] + trace.output_tokens[row])
        tokens = np.full(length, self._first_own + row)
        if trace.prefixes is not None:
            named = np.repeat(trace.prefixes.chain(row), trace.prefixes.block_tokens)
            tokens[: len(named)] = named
        sequence: list[int] = tokens.tolist()
        return sequence
