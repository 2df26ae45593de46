"""Distributions of a trace as bars: arrivals, lengths, reuse of blocks, and waits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.trace import PS_PER_S, Ints, Trace

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Bars from ``edges[i]`` to ``edges[i + 1]``, of these heights.

    ``is_log`` says that the edges are to be seen on a logarithmic axis.
    """

    title: str
    across: str
    upwards: str
    edges: Floats
    heights: Floats
    is_log: bool


def histograms(trace: Trace, n_windows: int, parts: int) -> tuple[Histogram, ...]:
    """All that the trace has, arrivals first.

    Arrivals are counted in ``n_windows`` equal windows; lengths and others in so many
    ``parts`` of each doubling.
    """
    found = [
        arrivals(trace, n_windows),
        lengths("requests by prompt tokens", "tokens", trace.prompt_tokens, parts),
        lengths("requests by output tokens", "tokens", trace.output_tokens, parts),
    ]
    if trace.prefixes is not None and len(trace.prefixes.ids):
        found.append(reuse(trace.prefixes.ids, parts))
    if trace.sessions is not None:
        follows = trace.sessions.after >= 0
        if follows.any():
            found.append(waits(trace.sessions.wait_ps[follows] / PS_PER_S, parts))
    return tuple(found)


def arrivals(trace: Trace, n_windows: int) -> Histogram:
    """Requests a second by time of arrival, since the first."""
    arrived_s = (trace.arrived_ps - trace.arrived_ps[0]) / PS_PER_S
    span_s = float(arrived_s[-1]) or 1.0
    counts, edges = np.histogram(arrived_s, n_windows, (0.0, span_s))
    width_s = float(edges[1] - edges[0])
    window = f"{width_s:,.0f}" if width_s >= 100 else f"{width_s:.3g}"
    when = "arrival" if trace.sessions is None else "earliest arrival"
    title = f"requests / s by time of {when}, in windows of {window} s"
    return Histogram(title, "seconds", "requests / s", edges, counts / width_s, False)


def lengths(title: str, across: str, numbers: Ints, parts: int) -> Histogram:
    """Counts of whole numbers from 1."""
    edges = _edges(int(numbers.min()), int(numbers.max()), parts)
    counts = np.histogram(numbers, edges)[0]
    upwards = title.split(" ", 1)[0]
    return Histogram(title, across, upwards, edges, counts.astype(np.float64), True)


def waits(waits_s: Floats, parts: int) -> Histogram:
    """Counts of waits; those below a second are shown as one."""
    shown = np.maximum(1.0, waits_s)
    last = np.floor(np.log2(shown.max())) + 1
    edges = 2 ** (np.arange(last * parts + 1) / parts)
    counts = np.histogram(shown, edges)[0].astype(np.float64)
    title = "requests by wait before them"
    return Histogram(title, "seconds", "requests", edges, counts, True)


def reuse(ids: Ints, parts: int) -> Histogram:
    """Uses of blocks by how often the same block is used in all."""
    uses = np.bincount(ids)
    uses = uses[uses > 0]
    edges = _edges(int(uses.min()), int(uses.max()), parts)
    counts = np.histogram(uses, edges, weights=uses)[0]
    title = "uses of prefix blocks by how often the block is used"
    heights = counts.astype(np.float64)
    return Histogram(title, "uses of the block", "uses", edges, heights, True)


def _edges(least: int, most: int, parts: int) -> Floats:
    """Whole numbers that part each doubling, from below ``least`` to above ``most``."""
    first = np.floor(np.log2(least))
    last = np.floor(np.log2(most)) + 1
    powers = np.arange(first * parts, last * parts + 1) / parts
    edges = np.unique(np.ceil(2**powers - 1e-9))
    begin = np.searchsorted(edges, least, side="right") - 1
    end = np.searchsorted(edges, most, side="right")
    return np.asarray(edges[begin : end + 1])
