"""How requests are drawn: the promise of every workload, and how one is found."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any, Protocol, cast

from evaluators.scenario import Half, Split
from evaluators.workloads.trace import Trace


class Workload(Protocol):
    """A source of requests, the same for everyone who asks with the same arguments.

    ``prediction_error`` is the standard deviation of log(predicted / true output
    tokens). Nothing drawn for one split is ever drawn for another, and no request of a
    recording for both halves of validation. A generator, which draws all of its
    requests anew for each seed, draws alike for validation and its halves. The rate
    scales time only: two draws that differ in the rate hold the same requests. Of
    sessions it scales how fast they start, and not the waits in them.
    """

    name: str
    prediction_error: float

    @property
    def n_tenants(self) -> int:
        """How many customers the service has."""
        ...

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """``n_requests`` requests that arrive over n_requests / rate_per_s seconds.

        Sessions start in that time and go on after it; a batch is there at once. Raises
        ``ValueError`` for a rate or a count that cannot be had.
        """
        ...

    def whole(self, seed: int) -> Trace:
        """All that was recorded, at its own pace; a long draw of a generator."""
        ...


def kinds() -> tuple[str, ...]:
    """Names of the kinds of workload: the files beside this one that can build one."""
    package = importlib.import_module(__package__ or "")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(name for name in names if hasattr(_module(name), "build"))


def build_workload(kind: str, options: Mapping[str, object]) -> Workload:
    """The workload of that kind; ``options`` are the arguments of its ``build``.

    Raises ``ValueError`` naming the kinds, or the options, that there are, and whatever
    ``build`` raises.
    """
    if kind not in kinds():
        raise ValueError(f"unknown workload kind {kind!r}; there are {_list(kinds())}")
    build = _module(kind).build
    known = signature(build).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"workload kind {kind} has no option {unknown[0]!r}; it has {_list(known)}"
        )
    return cast(Workload, build(**options))


def check_draw(rate_per_s: float, n_requests: int) -> None:
    """Raise ``ValueError`` unless both are above 0 and finite."""
    if not 0 < rate_per_s < float("inf"):
        raise ValueError(f"rate is {rate_per_s} requests/s; expected above 0")
    if n_requests < 1:
        raise ValueError(f"asked for {n_requests} requests; expected at least 1")


def _module(name: str) -> Any:  # noqa: ANN401
    return importlib.import_module(f"{__package__}.{name}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
