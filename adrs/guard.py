"""Tells an endpoint that is down from questions that are hard to answer."""

import threading

from adrs.llm.model import Key, Message, Model, ModelError, ModelUnavailableError, Reply

LEAST_IN_A_ROW = 5
"""Fewer failures in a row say nothing: a question has two attempts."""


class Guarded:
    """A model whose failures, once as many in a row as a round asks, are an outage.

    Only failures that say so themselves count; any other answer ends the row.
    ``is_wary`` takes the first for an outage already: an earlier process of the run
    may have left off in one.
    """

    def __init__(self, model: Model, slots: int, *, is_wary: bool) -> None:
        self.name = model.name
        self._model = model
        self._most = max(slots, LEAST_IN_A_ROW)
        self._in_a_row = self._most - 1 if is_wary else 0
        self._lock = threading.Lock()

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """The model's answer; ``ModelUnavailableError`` for a failure in an outage."""
        try:
            reply = self._model.complete(messages, key)
        except ModelError as error:
            if self._count(error.is_outage) < self._most:
                raise
            raise ModelUnavailableError(
                f"{error}; no question of late was answered"
            ) from error
        self._count(False)
        return reply

    def _count(self, is_outage: bool) -> int:
        """Failures in a row, with this answer."""
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if is_outage else 0
            return self._in_a_row
