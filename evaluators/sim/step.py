"""What a step of the fast engine does beyond one token for everybody who decodes."""

from typing import NamedTuple


class Step(NamedTuple):
    """What a step does beyond one token for each decoding request.

    ``chunks`` are (row, prompt tokens), ``woken`` paused requests that emit again.
    """

    chunks: list[tuple[int, int]]
    woken: list[int]


class Coming(NamedTuple):
    """What a step brings that has begun and not ended when the next one is decided.

    Who has a token outside the aggregates had the one before ``earlier``, -1 for none;
    the step before it took ``step_before_ps``.
    """

    began_ps: int
    step_before_ps: int
    chunks: list[tuple[int, int]]
    earlier: dict[int, int]
