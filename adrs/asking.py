"""The questions of one round, asked at once; waits while the model is down."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from itertools import takewhile
from typing import TypeVar

from adrs.llm.model import ModelUnavailableError

Answer = TypeVar("Answer")


class Outage:
    """How long to wait for a model that is down, and when to give up.

    Waits double from ``first_s`` to ``cap_s``; after ``give_up_s`` of waiting in one
    outage the error is raised. ``on_wait`` is told the seconds and the reason before
    each wait.
    """

    def __init__(
        self,
        *,
        first_s: float = 1.0,
        cap_s: float = 60.0,
        give_up_s: float = 600.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.first_s = first_s
        self.cap_s = cap_s
        self.give_up_s = give_up_s
        self.sleep = sleep

    def waits_s(self) -> Iterator[float]:
        """The waits of one outage, which add up to ``give_up_s``."""
        wait_s, left_s = self.first_s, self.give_up_s
        while left_s > 0:
            yield min(wait_s, left_s)
            left_s -= wait_s
            wait_s = min(2 * wait_s, self.cap_s)


def ask(
    questions: Sequence[Callable[[], Answer]],
    threads: Executor,
    outage: Outage,
    on_wait: Callable[[float, str], None],
) -> Iterator[list[Answer]]:
    """Answers in the order of the questions, which are asked at once; in batches.

    A batch is one answer and those after it that are there already.

    Raises ``ModelUnavailableError`` when an outage lasts too long; the answers before
    the unanswered question have been given out by then.
    """
    futures = [threads.submit(question) for question in questions]
    try:
        number = 0
        while number < len(futures):
            waits_s = outage.waits_s()
            while _is_down(futures[number]):
                _wait(futures[number], waits_s, outage, on_wait)
                down = [f.done() and _is_down(f) for f in futures]
                again = zip(futures, questions, down, strict=True)
                futures = [threads.submit(q) if d else f for f, q, d in again]
            ready = list(takewhile(_is_answered, futures[number:]))
            number += len(ready)
            yield [future.result() for future in ready]
    finally:
        for future in futures:
            future.cancel()


def _is_answered(future: Future[Answer]) -> bool:
    return future.done() and not _is_down(future)


def _is_down(future: Future[Answer]) -> bool:
    return isinstance(future.exception(), ModelUnavailableError)


def _wait(
    future: Future[Answer],
    waits_s: Iterator[float],
    outage: Outage,
    on_wait: Callable[[float, str], None],
) -> None:
    error = future.exception()
    wait_s = next(waits_s, None)
    if wait_s is None:
        raise ModelUnavailableError(
            f"{error} (waited {outage.give_up_s:g} s for it)"
        ) from error
    on_wait(wait_s, str(error))
    outage.sleep(wait_s)
