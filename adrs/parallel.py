"""A function of our own over many things, in processes that end with their driver."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from adrs.workers import executor, shut_down, starting, wait_until_begun

AHEAD = 2
"""Things in hand for each worker, with the one that it is at: as many as loky hands
to its workers at once."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_parallel(
    function: Callable[[Given], Made], given: Iterable[Given], workers: int
) -> Iterator[Made]:
    """What a function of our own makes of each, in order, in ``workers`` processes.

    One worker is this very process. ``given`` is taken here, in this thread and only
    ``AHEAD`` for each worker ahead of what was handed on, so it may be far larger than
    memory; what it or the function raises is raised here. Workers end with the last
    result, when the iterator is closed, or with this thread.
    """
    if workers == 1:
        yield from map(function, given)
        return
    pool, ahead = executor(workers), deque[Future[Made]]()
    try:
        for each in given:
            with starting():
                ahead.append(pool.submit(function, each))
            if len(ahead) == AHEAD * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        wait_until_begun(ahead)
        shut_down(pool)
