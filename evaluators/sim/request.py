"""Requests of the plain engine, one object each, and what a step of them is."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.calibration.step_time import Batch
from evaluators.scenario import Scenario
from evaluators.sim.panel import Panel, oversized
from evaluators.sim.recorder import Recorder
from evaluators.views import Running


@dataclass(slots=True, eq=False)
class Request:
    """Progress of one request; ``goal`` is the token count its next emission needs."""

    row: int
    goal: int
    output: int
    tenant: int
    computed: int = 0
    generated: int = 0
    decoding: bool = False
    last_token_ps: int = -1
    grant: int = 0


def requests(scenario: Scenario, record: Recorder) -> list[Request]:
    """Requests that fit the KV memory at all, last arrival first; notes the others."""
    record.rejected.extend(oversized(scenario))
    rejected = set(record.rejected)
    trace = scenario.trace
    columns = zip(
        range(len(trace)),
        trace.prompt_tokens.tolist(),
        trace.output_tokens.tolist(),
        trace.tenant.tolist(),
        strict=True,
    )
    kept = [Request(*values) for values in columns if values[0] not in rejected]
    return kept[::-1]


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
