"""Windows of a recorded trace at a scaled pace, with what the recording lacks drawn."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import stream
from evaluators.scenario import Half, Split, split_of
from evaluators.workloads.annotations import (
    paced_ps,
    predicted,
    prompt_classes,
    zipf_shares,
)
from evaluators.workloads.catalogue import how_to_get
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.relations import taken
from evaluators.workloads.trace import PS_PER_S, Ints, Trace
from evaluators.workloads.workload import check_draw

SPLIT_SPANS: dict[Split | Half, tuple[float, float]] = {
    "train": (0.0, 0.6),
    "validation": (0.6, 0.8),
    "picking": (0.6, 0.7),
    "reporting": (0.7, 0.8),
    "held_out": (0.8, 1.0),
}
"""Parts of the recorded time; a window never leaves its part.

The halves of validation touch and share nothing.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Parsed columns of a trace file, shape (n,), sorted by time.

    Each stamp stands for the ``stamp_s`` seconds from ``arrived_s`` on (0: exact).
    ``prefixes`` says what the prompts share, where that was recorded.
    """

    arrived_s: NDArray[np.float64]
    prompt_tokens: Ints
    output_tokens: Ints
    stamp_s: float = 0.0
    prefixes: Prefixes | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded workload. Tenants, classes and predictions are synthetic: seeded.

    ``read`` gives the recording when first needed. A draw is ``n_requests`` rows in
    sequence, starting at a place of the part that the seed chooses.
    """

    name: str
    read: Callable[[], Recording]
    n_tenants: int
    prediction_error: float

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """See ``Workload``; raises ``ValueError`` when the part is shorter."""
        check_draw(rate_per_s, n_requests)
        recording, split = self.read(), split_of(part)
        first, last = _rows(recording, part)
        if last - first < n_requests:
            raise ValueError(
                f"{self.name}: {told(part)} holds {last - first} requests; asked "
                f"for {n_requests}; ask for fewer"
            )
        window = stream(seed, self.name, split, "window")
        start = int(window.integers(first, last - n_requests + 1))
        rows = slice(start, start + n_requests)
        arrived = _spread(recording, rows, stream(seed, self.name, split, "spread"))
        return self._trace(
            recording, rows, paced_ps(arrived, rate_per_s), (seed, split)
        )

    def whole(self, seed: int) -> Trace:
        """The whole recording at its own pace."""
        recording = self.read()
        rows = slice(0, len(recording.arrived_s))
        arrived = _spread(recording, rows, stream(seed, self.name, "whole", "spread"))
        since_ps = np.rint((arrived - arrived[0]) * PS_PER_S).astype(np.int64)
        return self._trace(recording, rows, since_ps, (seed, "whole"))

    def _trace(
        self, recording: Recording, rows: slice, arrived: Ints, key: tuple[int, str]
    ) -> Trace:
        seed, part = key
        prompt, output = recording.prompt_tokens[rows], recording.output_tokens[rows]
        random = {
            purpose: stream(seed, self.name, part, purpose)
            for purpose in ("tenant", "class", "prediction")
        }
        shares = zipf_shares(self.n_tenants)
        chains = recording.prefixes
        numbers = np.arange(rows.start, rows.stop)
        return Trace(
            arrived_ps=arrived,
            prompt_tokens=prompt,
            output_tokens=output,
            predicted_tokens=predicted(
                output, self.prediction_error, random["prediction"]
            ),
            tenant=random["tenant"].choice(self.n_tenants, len(prompt), p=shares),
            slo_class=prompt_classes(prompt, random["class"]),
            prefixes=None if chains is None else taken(chains, numbers),
        )


def told(part: str) -> str:
    """A part in words, as the subject of a sentence."""
    is_half = part in get_args(Half)
    return f"the {part} half of validation" if is_half else f"the {part} part"


def find(name: str, files: tuple[str, ...], data: str | None) -> Path:
    """The file of a recorded trace: ``data`` itself, or the first of ``files`` in it.

    Looks for each name, plain and with .gz, in the folder ``data`` and its ``traces``;
    without ``data`` in ``data_folder()``. Raises ``FileNotFoundError`` saying the ways
    to get the file.
    """
    root = Path(data).expanduser() if data else data_folder()
    if root.is_file():
        return root
    names = [name for file in files for name in (file, f"{file}.gz")]
    for candidate in (root / part / name for part in ("", "traces") for name in names):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"no trace {name}: {files[0]} is not in {root}; {how_to_get(name)}, or name "
        "its file or folder with workload.data=PATH"
    )


def data_folder() -> Path:
    """Where traces are kept: ``ADRS_DATA`` of the environment, or the user's cache."""
    folder = os.environ.get("ADRS_DATA")
    return Path(folder) if folder else Path("~/.cache/adrs").expanduser()


def _rows(recording: Recording, part: Split | Half) -> tuple[int, int]:
    """First row of a part and the one after its last, by recorded stamps."""
    stamps = recording.arrived_s
    begin, end = stamps[0], stamps[-1]
    low, high = SPLIT_SPANS[part]
    first = int(np.searchsorted(stamps, begin + low * (end - begin)))
    last = int(np.searchsorted(stamps, begin + high * (end - begin)))
    return first, len(stamps) if high == 1.0 else last


def _spread(
    recording: Recording, rows: slice, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Arrivals of the rows, uniform within their stamps, in the rows' order."""
    stamps = recording.arrived_s[rows]
    if recording.stamp_s == 0:
        return stamps
    return np.sort(stamps + recording.stamp_s * rng.random(len(stamps)))
