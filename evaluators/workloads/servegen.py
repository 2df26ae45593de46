"""ServeGen's clients: a mixture of senders, each bursty in its own way by the window.

Two tables, in the folder ``servegen``: ``client_arrival_windows.parquet`` (of columns
model, client, window_start_s, rate_req_s, arrival_dist, param1) and, for each model,
``MODEL_length_pdfs.parquet`` (client, window_start_s, field, values, weights), re-coded
from the project's ``chunk-*-trace.csv`` and ``chunk-*-dataset.json``.

Reading them needs pyarrow: the extra ``[traces]``.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import stream
from evaluators.scenario import Half, Split, split_of
from evaluators.workloads.annotations import (
    PREDICTION_ERROR,
    paced_ps,
    predicted,
    prompt_classes,
)
from evaluators.workloads.generated import WHOLE_REQUESTS
from evaluators.workloads.recorded import Stamp, stamp
from evaluators.workloads.replay import SPLIT_SPANS, find, told
from evaluators.workloads.trace import Ints, Trace
from evaluators.workloads.workload import check_draw

Floats = NDArray[np.float64]
WINDOW_S = 600
ARRIVALS = "servegen/client_arrival_windows.parquet"


class Windows(NamedTuple):
    """Arrivals of a model: client, window from 0, rate, and shape of the gaps.

    Columns of active windows only, shape (n,), by window. ``is_weibull`` tells the
    distribution of the gaps, else Gamma; ``shape`` is its first parameter.
    """

    client: Ints
    window: Ints
    rate_per_s: Floats
    is_weibull: NDArray[np.bool_]
    shape: Floats

    def those(self, rows: NDArray[Any]) -> "Windows":
        """Some rows."""
        return Windows(
            self.client[rows],
            self.window[rows],
            self.rate_per_s[rows],
            self.is_weibull[rows],
            self.shape[rows],
        )


class Density(NamedTuple):
    """Values and their cumulated probabilities, of one client from a time on."""

    values: Ints
    upto: Floats


Densities = dict[int, list[tuple[int, Density]]]
"""By client: densities with the first window that they are of, in order."""


def build(
    model: str = "m-large",
    data: str | None = None,
    windows: int = 6,
    most_tokens: int = 32768,
    prediction_error: float = PREDICTION_ERROR,
) -> "Clients":
    """The clients of a model: m-small, m-mid, m-large, deepseek-r1 or mm-image.

    A draw is an hour (six ``windows`` of ten minutes), told in as many requests as are
    asked for. ``data`` is the folder of the tables, or that above ``servegen``; lengths
    above ``most_tokens`` are cut. Raises ``FileNotFoundError`` when a table is missing.
    """
    if windows < 1 or most_tokens < 1:
        raise ValueError(
            f"windows is {windows}, most_tokens {most_tokens}; expected at least 1"
        )
    names = (f"servegen/{model}_length_pdfs.parquet", f"{model}_length_pdfs.parquet")
    arrivals = find("servegen", (ARRIVALS, Path(ARRIVALS).name), data)
    lengths = find("servegen", names, data)
    files = (stamp(arrivals), stamp(lengths))
    name = f"servegen-{model}"
    return Clients(name, prediction_error, (model, *files), windows, most_tokens)


@dataclass(frozen=True, slots=True)
class Clients:
    """Tenants are the model's clients, by number.

    A draw is some windows in sequence, at a place of the part of the recorded time
    that the seed chooses. Each request falls to a client and a window by their
    recorded rates; within a window a client's gaps have its fitted distribution, scaled
    to its count, so that shares, bursts and slow changes stay and the rate is the asked
    one. Lengths are drawn from the client's density of the time, prompt and output
    independently. The project's length files lack its largest clients here (15 of
    m-large, 35 of m-mid, 5 of m-small): those use the densities of the others, so that
    lengths are biased to smaller clients.
    """

    name: str
    prediction_error: float
    tables: tuple[str, Stamp, Stamp]
    windows: int
    most_tokens: int

    @property
    def n_tenants(self) -> int:
        """See ``Workload``."""
        return int(self.active().client.max()) + 1

    def active(self) -> Windows:
        """Active windows of all clients; raises ``ValueError`` where there is none."""
        model, arrivals, _ = self.tables
        return _windows(arrivals, model)

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """See ``Workload``."""
        check_draw(rate_per_s, n_requests)
        active, lengths = self.active(), self.tables[2]
        random = {
            purpose: stream(seed, self.name, split_of(part), purpose)
            for purpose in ("window", "arrivals", "lengths", "class", "prediction")
        }
        first = self._first(part, int(active.window.max()) + 1, random["window"])
        is_in = (active.window >= first) & (active.window < first + self.windows)
        chosen = active.those(is_in)
        if not chosen.client.size:
            raise ValueError(f"{self.name}: no client is active from window {first} on")
        moments, client, window = _requests(chosen, n_requests, random["arrivals"])
        prompts, outputs = (
            np.minimum(_drawn(densities, client, window, random["lengths"]), most)
            for densities, most in (
                (_densities(lengths, "input_tokens"), self.most_tokens),
                (_densities(lengths, "output_tokens"), self.most_tokens),
            )
        )
        return Trace(
            arrived_ps=paced_ps(moments, rate_per_s),
            prompt_tokens=prompts,
            output_tokens=outputs,
            predicted_tokens=predicted(
                outputs, self.prediction_error, random["prediction"]
            ),
            tenant=client,
            slo_class=prompt_classes(prompts, random["class"]),
        )

    def whole(self, seed: int) -> Trace:
        """20,000 requests of the train split, at the recorded rate in the mean."""
        active = self.active()
        n_windows = int(active.window.max()) + 1
        rate = float(active.rate_per_s.sum()) / n_windows
        return self.draw("train", seed, rate, WHOLE_REQUESTS)

    def _first(
        self, part: Split | Half, n_windows: int, rng: np.random.Generator
    ) -> int:
        low, high = (round(share * n_windows) for share in SPLIT_SPANS[part])
        if high - low < self.windows:
            raise ValueError(
                f"{self.name}: {told(part)} has {high - low} windows; asked for "
                f"{self.windows}; ask for fewer"
            )
        return int(rng.integers(low, high - self.windows + 1))


def _requests(
    active: Windows, n: int, rng: np.random.Generator
) -> tuple[Floats, Ints, Ints]:
    """Times in windows, sorted, with the client and the window of each request."""
    counts = rng.multinomial(n, active.rate_per_s / active.rate_per_s.sum())
    moments = []
    for row in np.flatnonzero(counts).tolist():
        size, shape = int(counts[row]) + 1, float(active.shape[row])
        draw = rng.weibull if active.is_weibull[row] else rng.gamma
        ends = np.cumsum(np.maximum(draw(shape, size=size), 1e-300))
        moments.append(int(active.window[row]) + ends[:-1] / ends[-1])
    times = np.concatenate(moments)
    order = np.argsort(times, kind="stable")
    sender = np.repeat(np.arange(len(counts)), counts)[order]
    return times[order], active.client[sender], active.window[sender]


def _drawn(
    densities: Densities, client: Ints, window: Ints, rng: np.random.Generator
) -> Ints:
    """Values for each request. A client without a density uses another's at random."""
    uniforms, known = rng.random(len(client)), np.array(sorted(densities))
    others = rng.choice(known, len(client))
    source = np.where(np.isin(client, known), client, others)
    values = np.zeros(len(client), dtype=np.int64)
    for key in np.unique(source).tolist():
        rows = np.flatnonzero(source == key)
        starts = np.array([start for start, _ in densities[key]])
        places = np.searchsorted(starts, window[rows], side="right") - 1
        for place in np.unique(places).tolist():
            density = densities[key][max(0, place)][1]
            chosen = rows[places == place]
            at = np.searchsorted(density.upto, uniforms[chosen], side="right")
            values[chosen] = density.values[np.minimum(at, len(density.values) - 1)]
    return np.maximum(1, values)


@lru_cache(maxsize=2)
def _windows(file: Stamp, model: str) -> Windows:
    names = ("client", "window_start_s", "rate_req_s", "arrival_dist", "param1")
    table = _table(file.path, (*names, "model"), [("model", "==", model)])
    client, start, rate, kind, shape = (_array(table, name) for name in names)
    is_active = (rate > 0) & np.isin(kind, ["Gamma", "Weibull"]) & (shape > 0)
    if not is_active.any():
        raise ValueError(f"{file.path} has no active window of model {model!r}")
    found = Windows(
        client.astype(np.int64),
        start.astype(np.int64) // WINDOW_S,
        rate.astype(np.float64),
        kind == "Weibull",
        shape.astype(np.float64),
    )
    order = np.argsort(start, kind="stable")
    return found.those(order[is_active[order]])


@lru_cache(maxsize=4)
def _densities(file: Stamp, field: str) -> Densities:
    names = ("client", "window_start_s", "values", "weights")
    table = _table(file.path, (*names, "field"), [("field", "==", field)])
    rows = zip(*(_array(table, name).tolist() for name in names), strict=True)
    found: Densities = {}
    for client, start, values, weights in sorted(rows, key=lambda row: row[:2]):
        upto = np.cumsum(np.array(weights, dtype=np.float64))
        if upto.size and upto[-1] > 0:
            tokens = np.rint(np.array(values)).astype(np.int64)
            density = Density(tokens, upto / upto[-1])
            found.setdefault(int(client), []).append((int(start) // WINDOW_S, density))
    if not found:
        raise ValueError(f"{file.path} has no density of {field}")
    return found


def _array(table: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 (pyarrow's table)
    return np.asarray(table.column(name).to_numpy())


def _table(path: str, columns: tuple[str, ...], rows: list[Any]) -> Any:  # noqa: ANN401
    """Columns of the rows that pass; pyarrow, which is large, is imported here only."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 (large, and optional)
    except ImportError:
        raise ValueError(
            f"{path} needs pyarrow to be read: pip install 'adrs-harness[traces]'"
        ) from None
    return parquet.read_table(path, columns=list(columns), filters=rows)
