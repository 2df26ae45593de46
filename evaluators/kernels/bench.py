"""A device to measure on: how it is timed, flushed and fed with random numbers."""

import functools
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from evaluators.kernels import spread
from evaluators.kernels.spread import Spread

Kind = Literal["cpu", "cuda"]
Call = Callable[[], object]

WITHOUT_TRITON = "ADRS_WITHOUT_TRITON"
"""Environment variable that has torch's own kernels used instead."""
FLUSH_CACHES = 3
"""Written before each repetition, in sizes of the L2."""
WARM_UPS = 2
ROTATED_BYTES = 1 << 26
"""What the rotated inputs of a CPU measurement hold together: more than its caches."""
MOST_ROTATIONS = 32


class Effort(NamedTuple):
    """How much goes into one measurement: repeats, within a budget where possible."""

    least: int
    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A device with the numbers it computes in, and how it is timed.

    On CUDA times are between device events, and before every repetition a buffer of
    several L2 sizes is written, so inputs come from memory. On a CPU ``clock`` is read
    before and after. ``tolerance`` is the largest error against float64 that passes;
    ``kept`` is what an operation keeps from one size to the next, as a model's weights.
    """

    kind: Kind
    device: torch.device
    dtype: torch.dtype
    tolerance: float
    effort: Effort
    clock: Callable[[], float]
    generator: torch.Generator
    order: np.random.Generator
    flush: torch.Tensor | None
    kept: dict[str, Any] = field(default_factory=dict)

    def random(self, *shape: int, scale: float = 1.0) -> torch.Tensor:
        """Normal numbers of that spread; never zeros, which can run faster."""
        made = torch.empty(shape, device=self.device, dtype=self.dtype)
        return made.normal_(0.0, scale, generator=self.generator)

    def whole(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """Random whole numbers from ``low`` up to, not including, ``high``."""
        options = {"device": self.device, "generator": self.generator}
        return torch.randint(low, high, shape, **options)

    def rotations(self, n_bytes: int) -> int:
        """How many copies of inputs of that size to take turns with.

        On CUDA the cache is flushed, so two do: the second shows that results do not
        hang on one draw.
        """
        if self.kind == "cuda":
            return 2
        return max(2, min(MOST_ROTATIONS, ROTATED_BYTES // max(1, n_bytes)))

    def synchronize(self) -> None:
        """Wait for the device; raises what its kernels did wrong."""
        if self.kind == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, calls: Sequence[Call]) -> Spread:
        """Times of the calls, which are one thing on rotated inputs.

        Each is warmed up, the first more; then they are repeated in random order.
        """
        for call in (calls[0],) * WARM_UPS + tuple(calls):
            call()
        self.synchronize()
        estimate_s = self._once(calls[:2])
        n = spread.repeats(estimate_s, self.effort.seconds, *self.effort[:2])
        turns = self.order.permutation(np.arange(n) % len(calls))
        chosen = [calls[i] for i in turns]
        found = self._events(chosen) if self.kind == "cuda" else self._read(chosen)
        return spread.spread(found)

    def _once(self, calls: Sequence[Call]) -> float:
        """Wall seconds of one call, with what it takes to prepare a repetition."""
        start = time.perf_counter()
        for call in calls:
            if self.flush is not None:
                self.flush.zero_()
            call()
        self.synchronize()
        return (time.perf_counter() - start) / len(calls)

    def _events(self, calls: Sequence[Call]) -> list[float]:
        assert self.flush is not None
        pairs = []
        for call in calls:
            begin = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            self.flush.zero_()
            begin.record()
            call()
            end.record()
            pairs.append((begin, end))
        self.synchronize()
        return [begin.elapsed_time(end) * 1e-3 for begin, end in pairs]

    def _read(self, calls: Sequence[Call]) -> list[float]:
        found = []
        for call in calls:
            start = self.clock()
            call()
            found.append(self.clock() - start)
        return found


def bench(kind: Kind, effort: Effort, *, is_wall: bool = False, seed: int = 0) -> Bench:
    """The device of that kind; a CPU is one thread in float32, CUDA is bfloat16.

    On a CPU the clock is the process's CPU time, which other programs hardly move,
    unless ``is_wall``. Raises ``ValueError`` where there is no CUDA device.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here; --device cpu measures this CPU")
    torch.set_grad_enabled(False)
    device = torch.device(kind, 0) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    return Bench(
        kind=kind,
        device=device,
        dtype=torch.bfloat16 if kind == "cuda" else torch.float32,
        tolerance=2e-2 if kind == "cuda" else 1e-4,
        effort=effort,
        clock=time.perf_counter if is_wall else time.process_time,
        generator=torch.Generator(device).manual_seed(seed),
        order=np.random.default_rng(seed),
        flush=_flush(device) if kind == "cuda" else None,
    )


def _flush(device: torch.device) -> torch.Tensor:
    cache = int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0))
    size = max(FLUSH_CACHES * cache, 1 << 28)
    return torch.empty(size, dtype=torch.int8, device=device)


def error(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest difference over the largest reference value; infinite for a NaN.

    ``reference`` is in float64 on the CPU.
    """
    if found.shape != reference.shape:
        raise ValueError(
            f"an output has shape {tuple(found.shape)}; expected "
            f"{tuple(reference.shape)}"
        )
    exact = found.detach().to("cpu", torch.float64)
    if not bool(torch.isfinite(exact).all()):
        return float("inf")
    largest = float(reference.abs().max())
    return float((exact - reference).abs().max()) / max(largest, 1e-300)


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers in float64 on the CPU."""
    return tensor.detach().to("cpu", torch.float64)


def refusals_of_size() -> tuple[type[Exception], ...]:
    """What is raised where a size cannot be had: by torch, Triton, or our own files."""
    if not has_triton():
        return RuntimeError, ValueError
    from triton.errors import TritonError  # noqa: PLC0415 (optional)

    return RuntimeError, ValueError, TritonError


@functools.cache
def has_triton() -> bool:
    """Whether Triton's kernels are used: it is installed, and nobody said no."""
    is_there = importlib.util.find_spec("triton") is not None
    return is_there and not os.environ.get(WITHOUT_TRITON)
