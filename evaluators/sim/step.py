"""What a step of the fast engine does beyond one token for everybody who decodes."""

from typing import NamedTuple


class Step(NamedTuple):
    """What a step does beyond one token for each decoding request.

    ``chunks`` are (row, prompt tokens), ``woken`` paused requests that emit again.
    """

    chunks: list[tuple[int, int]]
    woken: list[int]
