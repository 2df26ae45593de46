"""Prefill and decode on the device at once: one after the other, or on two streams.

Parts of the multiprocessors of their own (green contexts) where torch offers them. MPS
shares a device between processes through a daemon that this command does not start.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from evaluators.kernels.bench import Bench, Call
from evaluators.kernels.grid import Grid, StepSize
from evaluators.kernels.model import step
from evaluators.kernels.operation import Candidate
from evaluators.kernels.step_plan import plan
from evaluators.kernels.step_shape import StepShape, step_shape
from evaluators.kernels.steps import whole
from evaluators.kernels.table import Size

NAME = "sharing"
SIZES = ("way", "chunk", "decodes", "context")
WAYS = ("prefill", "decode", "in_turn", "streams", "green_contexts")
"""``prefill`` and ``decode`` are each alone: what the others are held against."""
PREFILL_SHARE = 0.75
"""Of the multiprocessors, where each has its own."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Two chunks beside two batches, each in every way."""
    chunks, batches = grid.chunks[-4::2], grid.batches[-4::2]
    context = grid.contexts[len(grid.contexts) // 2]
    return [
        (way, chunk, batch, context)
        for chunk in chunks
        for batch in batches
        if batch * context <= grid.kv_tokens // 2
        for way in WAYS
    ]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """Two steps of the same model; a CPU takes them in turn only."""
    way, chunk, decodes, context = str(point[0]), *(int(size) for size in point[1:])
    if bench.kind == "cpu" and way in WAYS[3:]:
        return
    model, wrong = whole(bench, grid, min(4, grid.model.layers))
    prefill = step_shape(StepSize(1, chunk, 0, 0, 0, 1))
    decode = step_shape(StepSize(0, 0, 0, decodes, context, 1))
    both = StepShape(prefill.chunks, decode.contexts)
    if both.kv_tokens > model.keys.shape[1] * model.keys.shape[2]:
        return
    halves = [plan(bench, model, each) for each in (prefill, decode)]
    first, second = (partial(step, model, each) for each in halves)
    run = _run(bench, way, first, second)
    if run is not None:
        yield Candidate(way, [run], wrong)


def _run(
    bench: Bench,
    way: str,
    first: Callable[[], torch.Tensor],
    second: Callable[[], torch.Tensor],
) -> Call | None:
    """None where this torch or device has no such way."""
    if way == "prefill":
        return first
    if way == "decode":
        return second
    if way == "in_turn":
        return lambda: (first(), second())
    if way == "streams":
        streams = [torch.cuda.Stream() for _ in range(2)]
        return _beside(streams, (first, second))
    parts = _green(bench)
    return None if parts is None else _beside(parts, (first, second))


def _beside(streams: list[Any], calls: tuple[Call, Call]) -> Call:
    """Each on its stream, from the same moment on; done when both are."""

    def run() -> None:
        own = torch.cuda.current_stream()
        for stream, call in zip(streams, calls, strict=True):
            stream.wait_stream(own)
            with torch.cuda.stream(stream):
                call()
            own.wait_stream(stream)

    return run


def _green(bench: Bench) -> list[Any] | None:
    """Streams for both: prefill's on a part of the multiprocessors, decode's on all.

    None where torch or the driver has no green contexts.
    """
    green = getattr(torch.cuda, "green_contexts", None)
    if (
        green is None
        or not green.SUPPORTED
        or not hasattr(green.GreenContext, "Stream")
    ):
        return None
    units = torch.cuda.get_device_properties(bench.device).multi_processor_count
    share = int(units * PREFILL_SHARE) // 8 * 8
    try:
        part = green.GreenContext.create(num_sms=share, device_id=bench.device.index)
        # The context must outlive its stream.
        bench.kept.setdefault("green contexts", []).append(part)
        return [part.Stream(), torch.cuda.Stream()]
    except RuntimeError:
        return None
