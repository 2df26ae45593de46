"""Lengths of a recorded set, sampled; arrivals, which it lacks, are generated."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.scenario import Half, Split
from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.arrivals import Gamma
from evaluators.workloads.generated import Contents, Generated
from evaluators.workloads.recorded import Stamp, lines, stamp
from evaluators.workloads.replay import SPLIT_SPANS, find, told
from evaluators.workloads.trace import Ints

COLUMNS = (
    ("ContextTokens", "GeneratedTokens"),
    ("num_prefill_tokens", "num_decode_tokens"),
)
"""Names of the two columns in the files of NanoFlow, and of Vidur."""


def build(
    trace: str = "sharegpt",
    data: str | None = None,
    most_tokens: int = 32768,
    cv: float = 1.0,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Generated:
    """Pairs of prompt and output from a CSV file; ``data`` is it, or its folder.

    Pairs of more than ``most_tokens`` together, and such without a prompt or an output,
    are left out. ``cv`` is the coefficient of variation of the gaps between arrivals
    (1: Poisson). Raises ``FileNotFoundError`` when the file is missing.
    """
    zipf_shares(tenants)
    kept = ("nanoflow_{}_lengths.csv", "vidur_{}_lengths.csv", "{}.csv")
    path = find(trace, tuple(name.format(trace) for name in kept), data)
    source = Pairs(path, most_tokens)
    return Generated(trace, tenants, prediction_error, Gamma(cv), source)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of a file: the first 60 % of them for train, and so on."""

    path: Path
    most_tokens: int

    def __call__(
        self,
        part: Split | Half,
        moments: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Contents:
        """Pairs drawn with replacement from the part's rows."""
        prompts, outputs = read(self.path)
        low, high = (round(share * len(prompts)) for share in SPLIT_SPANS[part])
        fits = np.flatnonzero(
            (prompts > 0) & (outputs > 0) & (prompts + outputs <= self.most_tokens)
        )
        rows = fits[(fits >= low) & (fits < high)]
        if not rows.size:
            raise ValueError(
                f"{self.path}: {told(part)} has no pair of up to "
                f"{self.most_tokens} tokens; allow more with most_tokens"
            )
        chosen = rng.choice(rows, len(moments))
        return Contents(prompts[chosen], outputs[chosen])


def read(path: Path) -> tuple[Ints, Ints]:
    """Prompts and outputs in the file's order; parsed once while it does not change.

    Raises ``ValueError`` naming the row that cannot be used.
    """
    return _parsed(stamp(path))


@lru_cache(maxsize=4)
def _parsed(file: Stamp) -> tuple[Ints, Ints]:
    rows = csv.DictReader(lines(file.path))
    names = next((pair for pair in COLUMNS if set(pair) <= _header(rows)), None)
    if names is None:
        known = " or ".join(", ".join(pair) for pair in COLUMNS)
        raise ValueError(f"{file.path} has columns {rows.fieldnames}; expected {known}")
    pairs = []
    for number, row in enumerate(rows, 1):
        try:
            pairs.append([int(row[name]) for name in names])
        except (TypeError, ValueError):
            raise ValueError(
                f"{file.path} row {number}: {', '.join(names)} are "
                f"{', '.join(str(row[name]) for name in names)}; expected whole numbers"
            ) from None
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _header(rows: "csv.DictReader[str]") -> set[str]:
    return set(rows.fieldnames or ())
