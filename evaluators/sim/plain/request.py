"""Requests of the plain engine, one object each, and what a step of them is."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.calibration.step_time import Batch
from evaluators.scenario import Scenario
from evaluators.sim.panel import Panel
from evaluators.views import Running
from evaluators.workloads.trace import PS_PER_S


@dataclass(slots=True, eq=False)
class Request:
    """Progress of one request; ``goal`` is the token count its next emission needs.

    A running request computes nothing before ``ready_ps``.
    """

    row: int
    goal: int
    output: int
    tenant: int
    computed: int = 0
    generated: int = 0
    decoding: bool = False
    last_token_ps: int = -1
    arrived_ps: int = -1
    ready_ps: int = 0
    grant: int = 0

    def repeat(self, steps: int, now_ps: int) -> None:
        """One token in each of so many steps, of which the last ended now."""
        self.computed += steps
        self.generated += steps
        self.goal += steps
        self.last_token_ps = now_ps


def requests(scenario: Scenario) -> list[Request]:
    """Every request of a scenario, as it is before any of it is computed."""
    trace = scenario.trace
    columns = zip(
        range(len(trace)),
        trace.prompt_tokens.tolist(),
        trace.output_tokens.tolist(),
        trace.tenant.tolist(),
        strict=True,
    )
    return [Request(*values) for values in columns]


def batch(work: Sequence[tuple[Request, int]]) -> Batch:
    """Aggregates of a step in which each request computes so many tokens."""
    chunks = [(k, r.computed) for r, k in work if not r.decoding]
    contexts = [r.computed + 1 for r, _ in work if r.decoding]
    return Batch(
        prefill_tokens=sum(k for k, _ in chunks),
        prefill_work=sum(k * (k + 2 * done) for k, done in chunks),
        decodes=len(contexts),
        context_tokens=sum(contexts),
        longest_context=max(contexts, default=0),
        prefills=len(chunks),
        prefill_context=sum(done + k for k, done in chunks),
    )


def running_view(
    panel: Panel, running: Sequence[Request], block_tokens: int
) -> Running:
    """What a policy may know of the running requests, in running order."""
    return panel.running(
        [r.row for r in running],
        [r.computed for r in running],
        [-(-r.computed // block_tokens) for r in running],
        [r.generated for r in running],
        [r.last_token_ps for r in running],
    )


def per_tenant(requests: Sequence[Request], n_tenants: int) -> list[int]:
    """How many of the requests each tenant has."""
    counts = [0] * n_tenants
    for request in requests:
        counts[request.tenant] += 1
    return counts


def scalars(
    waiting: Sequence[Request],
    running: Sequence[Request],
    free_blocks: int,
    clock_ps: tuple[int, int],
) -> tuple[float, ...]:
    """What ``views.ENGINE_SCALARS`` names; ``clock_ps`` is now and the last step."""
    decoding = [r for r in running if r.decoding]
    now_ps, last_step_ps = clock_ps
    return (
        now_ps / PS_PER_S,
        free_blocks,
        len(waiting),
        len(running),
        len(decoding),
        sum(r.computed for r in decoding),
        last_step_ps / PS_PER_S,
    )


def capped(tokens: int, cap: int) -> int:
    """The lesser of the two; a cap of 0 is none."""
    return min(tokens, cap) if cap else tokens
