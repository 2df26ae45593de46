"""The default workload: skewed tenants with their own mixtures, classes and bursts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import stream
from evaluators.scenario import Half, Split, split_of
from evaluators.workloads.annotations import (
    INTERACTIVE,
    PREDICTION_ERROR,
    RELAXED,
    paced_ps,
    predicted,
    zipf_shares,
)
from evaluators.workloads.arrivals import POISSON, Arrivals, Gamma, OnOff
from evaluators.workloads.generated import WHOLE_RATE_PER_S, WHOLE_REQUESTS
from evaluators.workloads.lengths import (
    CODE,
    CONVERSATION,
    DOCUMENT,
    REASONING,
    Component,
)
from evaluators.workloads.trace import Ints, Trace
from evaluators.workloads.workload import check_draw

COMPONENTS: tuple[Component, ...] = (CONVERSATION, CODE, DOCUMENT, REASONING)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer: how its requests arrive, and its shares of ``COMPONENTS``."""

    arrivals: Arrivals
    mixture: tuple[float, float, float, float]


TENANTS = (
    # Azure 2023 conversation: gaps of CV 1.09; ServeGen: one answer in ten reasons.
    Tenant(Gamma(cv=1.09), (0.9, 0.0, 0.0, 0.1)),
    # Azure 2023 code: CV 13 in recorded time, which no Gamma fits, so on and off.
    Tenant(OnOff(burst=16.0, duty=0.2), (0.0, 1.0, 0.0, 0.0)),
    # A batch of documents among chats (Mooncake lengths); bursts as above.
    Tenant(OnOff(burst=8.0, duty=0.2), (0.4, 0.0, 0.6, 0.0)),
    # ServeGen deepseek-r1: rate-weighted CV 2.28 of a client's window.
    Tenant(Gamma(cv=2.28), (0.2, 0.0, 0.0, 0.8)),
    # Mooncake conversation within its stamps: close to Poisson.
    Tenant(POISSON, (0.6, 0.3, 0.1, 0.0)),
    # ServeGen m-large: rate-weighted CV 3.45 of a client's window.
    Tenant(Gamma(cv=3.45), (0.5, 0.2, 0.1, 0.2)),
)
"""By falling rate; further tenants repeat the list. Who sends what is our choice, the
parts are measured."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Requests of ``tenants`` customers whose rates follow Zipf's law.

    Times are in units of the mean gap, so bursts keep their shape at any rate.
    """

    name: str
    prediction_error: float
    tenants: tuple[Tenant, ...]

    @property
    def n_tenants(self) -> int:
        """See ``Workload``."""
        return len(self.tenants)

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """See ``Workload``; about 10 us a request at worst."""
        check_draw(rate_per_s, n_requests)
        random = {
            purpose: stream(seed, "synthetic", split_of(part), purpose)
            for purpose in ("arrivals", "mixture", "lengths", "class", "prediction")
        }
        arrived, tenant = self._arrivals(n_requests, random["arrivals"])
        component = self._components(tenant, random["mixture"])
        prompt, output = _lengths(component, random["lengths"])
        return Trace(
            arrived_ps=paced_ps(arrived, rate_per_s),
            prompt_tokens=prompt,
            output_tokens=output,
            predicted_tokens=predicted(
                output, self.prediction_error, random["prediction"]
            ),
            tenant=tenant,
            slo_class=_classes(component, random["class"]),
        )

    def whole(self, seed: int) -> Trace:
        """20,000 requests of the train split."""
        return self.draw("train", seed, WHOLE_RATE_PER_S, WHOLE_REQUESTS)

    def _arrivals(
        self, n: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], Ints]:
        """Sorted times over a span of 1, and the tenant of each."""
        counts = rng.multinomial(n, zipf_shares(len(self.tenants)))
        times = []
        for tenant, count in zip(self.tenants, counts.tolist(), strict=True):
            drawn = tenant.arrivals.draw(count + 1, rng)
            times.append(drawn[:-1] / drawn[-1])
        arrived = np.concatenate(times)
        order = np.argsort(arrived, kind="stable")
        return arrived[order], np.repeat(np.arange(len(counts)), counts)[order]

    def _components(self, tenant: Ints, rng: np.random.Generator) -> Ints:
        """Index into ``COMPONENTS`` of each request, by its tenant's mixture."""
        upto = np.cumsum([t.mixture for t in self.tenants], axis=1)[:, :-1]
        uniforms = rng.random(len(tenant))
        return np.asarray((uniforms[:, None] >= upto[tenant]).sum(axis=1))


def build(
    tenants: int = len(TENANTS),
    arrivals: str = "mixed",
    cv: float = 2.28,
    burst_requests: float = 16.0,
    burst_duty: float = 0.2,
    prediction_error: float = PREDICTION_ERROR,
) -> Synthetic:
    """The generator.

    ``arrivals`` is "mixed" (each tenant its own), or for all tenants "poisson", "gamma"
    (gaps of coefficient of variation ``cv``) or "bursts" (of ``burst_requests``, on for
    a ``burst_duty`` share of time). Raises ``ValueError`` for anything else.
    """
    zipf_shares(tenants)
    chosen = tuple(TENANTS[i % len(TENANTS)] for i in range(tenants))
    processes: dict[str, Arrivals] = {
        "poisson": POISSON,
        "gamma": Gamma(cv),
        "bursts": OnOff(burst_requests, burst_duty),
    }
    if arrivals != "mixed":
        if arrivals not in processes:
            raise ValueError(
                f"arrivals is {arrivals!r}; expected mixed, {', '.join(processes)}"
            )
        chosen = tuple(Tenant(processes[arrivals], t.mixture) for t in chosen)
    name = "synthetic" if arrivals == "mixed" else f"synthetic-{arrivals}"
    return Synthetic(name, prediction_error, chosen)


def _lengths(component: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    uniforms = rng.random((2, len(component)))
    prompt = np.zeros(len(component), dtype=np.int64)
    output = np.zeros(len(component), dtype=np.int64)
    for index, kind in enumerate(COMPONENTS):
        rows = np.flatnonzero(component == index)
        prompt[rows] = kind.prompt.draw(uniforms[0, rows])
        output[rows] = kind.output.draw(uniforms[1, rows])
    return prompt, output


def _classes(component: Ints, rng: np.random.Generator) -> Ints:
    interactive = np.array([kind.interactive for kind in COMPONENTS])[component]
    is_interactive = rng.random(len(component)) < interactive
    return np.where(is_interactive, INTERACTIVE, RELAXED)
