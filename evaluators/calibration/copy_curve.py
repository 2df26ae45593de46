"""How long one copy over a link takes by its size, and who measured that."""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise
from typing import Literal, get_args

from evaluators.calibration.checks import loaded

Status = Literal["measured", "assumed"]

FOLDER = "copy_curves"


@dataclass(frozen=True, slots=True)
class CopyCurve:
    """Duration of one copy: lines between ``knots`` of (bytes, picoseconds).

    The first knot, at 0 bytes, is what it takes to launch any copy; beyond the last
    knot the last line goes on. Whole picoseconds, rounded up, so that no copy is faster
    than the lines. ``source`` says who measured it, or whose numbers it assumes.
    """

    name: str
    status: Status
    source: str
    knots: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming the knot that no link could have."""
        if self.status not in get_args(Status):
            raise ValueError(
                f"status is {self.status!r}; expected one of {get_args(Status)}"
            )
        if len(self.knots) < 2 or self.knots[0][0] != 0 or self.knots[0][1] < 1:
            raise ValueError("knots must begin at 0 bytes, above 0 ps, and go on")
        for (size, ps), (next_size, next_ps) in pairwise(self.knots):
            if next_size <= size or next_ps < ps:
                raise ValueError(
                    f"knot at {next_size} bytes, {next_ps} ps comes after {size} "
                    f"bytes, {ps} ps; expected more bytes and no less time"
                )
        if self.knots[-1][1] == self.knots[-2][1]:
            raise ValueError(
                "the last two knots take equal time: no limit of bandwidth"
            )

    def copy_ps(self, size_bytes: int) -> int:
        """Picoseconds that one copy of so many bytes takes; nothing for no bytes."""
        if size_bytes <= 0:
            return 0
        after = bisect_right(self.knots, (size_bytes,))
        after = min(max(after, 1), len(self.knots) - 1)
        (x0, y0), (x1, y1) = self.knots[after - 1 : after + 1]
        return y0 - (y1 - y0) * (x0 - size_bytes) // (x1 - x0)

    def least_ps(self, size_bytes: int) -> int:
        """Picoseconds below which so many bytes cannot be moved, however cut up."""
        return int(size_bytes / self.peak())

    def peak(self) -> Fraction:
        """Most bytes per picosecond that any number of copies can reach."""
        (x0, y0), (x1, y1) = self.knots[-2:]
        reached = [Fraction(size, ps) for size, ps in self.knots]
        return max(*reached, Fraction(x1 - x0, y1 - y0))


def affine(
    name: str, source: str, *, launch_ps: int, bytes_per_s: int, status: Status
) -> CopyCurve:
    """A launch, then a constant bandwidth; at least one launch picosecond is paid."""
    million_ps = -(-(10**18) // bytes_per_s)
    knots = ((0, launch_ps), (10**6, launch_ps + million_ps))
    return CopyCurve(name, status, source, knots)


def names() -> tuple[str, ...]:
    """Names of the curves shipped, sorted."""
    folder = files("evaluators.calibration") / FOLDER
    found = (entry.name for entry in folder.iterdir())
    return tuple(sorted(n.removesuffix(".json") for n in found if n.endswith(".json")))


def load_curve(name: str) -> CopyCurve:
    """The shipped curve of that name; raises ``ValueError`` naming those there are."""
    if name not in names():
        raise ValueError(f"no copy curve {name!r}; there are {', '.join(names())}")
    path = files("evaluators.calibration") / FOLDER / f"{name}.json"
    return parse_curve(name, path.read_text(encoding="utf-8"))


def parse_curve(name: str, text: str) -> CopyCurve:
    """The curve in a JSON file's text; raises ``ValueError`` in one line."""
    try:
        found = loaded(text)
        if not isinstance(found, dict) or set(found) != {"status", "source", "knots"}:
            raise ValueError("expected an object of status, source and knots")
        knots = tuple((_whole(size), _whole(ps)) for size, ps in found["knots"])
        return CopyCurve(name, found["status"], str(found["source"]), knots)
    except (ValueError, TypeError) as error:
        raise ValueError(f"copy curve {name}: {error}") from error


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"a knot holds {value!r}; expected whole numbers")
    return value
