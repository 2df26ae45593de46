"""What a run was worth to its users: latencies, utility, throughput and fairness.

Times are seconds, quantiles nearest-rank (``quantiles.py``). Rejected requests (larger
than the whole KV memory of the engine they were sent to, or following one that was)
have utility 0 and no latencies. Where the replicas of a fleet have equal memory, as all
that can be configured have, who is rejected is no matter of the policy.
"""

from typing import NamedTuple

import numpy as np

from evaluators.once import once_a_scenario
from evaluators.quantiles import gap_summary, summary
from evaluators.scenario import Scenario
from evaluators.sim.run import Run
from evaluators.solo import solo_ps
from evaluators.views import Floats, Ints
from evaluators.workloads.trace import PS_PER_S

CUT_OFF_TTFTS = 10
"""What finishes later than this many TTFT objectives after the last arrival is lost."""


class Objectives(NamedTuple):
    """Objectives of each request by its class, columns of shape (n,), seconds."""

    ttft_s: Floats
    tpot_s: Floats
    gap_s: Floats
    cut_off_s: Floats


class Latencies(NamedTuple):
    """Columns of shape (n,), seconds; nan where a request has none.

    ``tpot_s`` is (finish - first token) / (output - 1), which is also the mean
    inter-token latency of the request; like ``gap_s``, the longest time between two of
    its tokens, it is nan for a single output token. ``slowdown`` is the end-to-end
    time over what the request takes alone on an idle engine. What a run left
    unfinished counts as ended at its cut-off.
    """

    ttft_s: Floats
    tpot_s: Floats
    gap_s: Floats
    e2e_s: Floats
    slowdown: Floats


class Terms(NamedTuple):
    """Factors of the utility, columns of shape (n,) in [0, 1]."""

    ttft: Floats
    tpot: Floats
    gap: Floats
    in_time: Floats


class Seen(NamedTuple):
    """What several judgements of one run begin with."""

    own: Latencies
    factors: Terms


@once_a_scenario
def objectives(scenario: Scenario) -> Objectives:
    """What each request was promised, and when it is given up.

    Never with sessions: who is slow there delays its own next requests.
    """
    table = np.array([(c.ttft_s, c.tpot_s, c.gap_s) for c in scenario.classes])
    ttft_s, tpot_s, gap_s = table[scenario.trace.slo_class].T
    cut_off_s = scenario.trace.duration_s + CUT_OFF_TTFTS * ttft_s
    if scenario.trace.sessions is not None:
        cut_off_s = np.full(len(ttft_s), np.inf)
    return Objectives(ttft_s, tpot_s, gap_s, cut_off_s)


def latencies(scenario: Scenario, run: Run) -> Latencies:
    """Latencies of every request."""
    trace = scenario.trace
    arrived_s = run.arrived_ps / PS_PER_S
    cut_off_s = objectives(scenario).cut_off_s
    first_s = _or_cut_off(run.first_token_ps, cut_off_s)
    finished_s = _or_cut_off(run.finished_ps, cut_off_s)
    served = np.ones(len(trace), dtype=bool)
    served[list(run.rejected)] = False
    several = served & (trace.output_tokens > 1)
    later_tokens = np.maximum(trace.output_tokens - 1, 1)
    e2e_s = np.where(served, finished_s - arrived_s, np.nan)
    return Latencies(
        ttft_s=np.where(served, first_s - arrived_s, np.nan),
        tpot_s=np.where(several, (finished_s - first_s) / later_tokens, np.nan),
        gap_s=np.where(several, run.longest_gap_ps / PS_PER_S, np.nan),
        e2e_s=e2e_s,
        slowdown=e2e_s / (solo_ps(scenario) / PS_PER_S),
    )


def seen(scenario: Scenario, run: Run) -> Seen:
    """Latencies of every request, and what each objective leaves of its utility."""
    promised, own = objectives(scenario), latencies(scenario, run)
    finished_s = run.finished_ps / PS_PER_S
    in_time = (run.finished_ps >= 0) & (finished_s <= promised.cut_off_s)
    factors = Terms(
        _kept(promised.ttft_s, own.ttft_s),
        _kept(promised.tpot_s, own.tpot_s),
        _kept(promised.gap_s, own.gap_s),
        in_time.astype(np.float64),
    )
    return Seen(own, factors)


def terms(scenario: Scenario, run: Run) -> Terms:
    """What each objective leaves of each request's utility."""
    return seen(scenario, run).factors


def utility(scenario: Scenario, run: Run) -> Floats:
    """Utility of each request, shape (n,), in [0, 1].

    min(1, TTFT objective / TTFT) x min(1, TPOT objective / TPOT) x min(1, gap objective
    / longest gap), the last two 1 for a single output token; 0 when rejected or not
    finished ten TTFT objectives of its class after the last arrival.
    """
    return worth(terms(scenario, run))


def worth(factors: Terms) -> Floats:
    """Product of the factors, shape (n,)."""
    return factors.ttft * factors.tpot * factors.gap * factors.in_time


def measure(
    scenario: Scenario, run: Run, begun: Seen | None = None
) -> dict[str, float]:
    """Every metric of a run by name, the unit last.

    ``begun`` is what was seen of the run, where somebody has looked already.
    """
    begun = begun or seen(scenario, run)
    own = begun.own
    found: dict[str, float] = {}
    for name, column, unit in (
        ("ttft", own.ttft_s, "_s"),
        ("tpot", own.tpot_s, "_s"),
        ("longest_gap", own.gap_s, "_s"),
        ("e2e", own.e2e_s, "_s"),
        ("slowdown", own.slowdown, ""),
    ):
        for statistic, value in summary(column).items():
            found[f"{name}_{statistic}{unit}"] = value
    for statistic, value in gap_summary(run).items():
        found[f"itl_{statistic}_s"] = value
    found["slowdown_max"] = _largest(own.slowdown)
    found.update(_totals(scenario, run, begun))
    found.update(_copied(run))
    return found


def _totals(scenario: Scenario, run: Run, begun: Seen) -> dict[str, float]:
    trace, factors = scenario.trace, begun.factors
    each = worth(factors)
    attained = each >= 1.0
    span_ps = max(int(run.finished_ps.max()), int(run.arrived_ps.max()), 1)
    span_s = span_ps / PS_PER_S
    done = run.finished_ps >= 0
    return {
        "utility_mean": float(each.mean()),
        "attained_share": float(attained.mean()),
        "goodput_per_s": float(attained.sum()) / span_s,
        "output_tokens_per_s": float(trace.output_tokens[done].sum()) / span_s,
        "tokens_per_s": float((trace.prompt_tokens + trace.output_tokens)[done].sum())
        / span_s,
        "span_s": span_s,
        "preemptions": float(run.preemptions.sum()),
        "preemption_stall_s": float(run.stall_ps.sum()) / PS_PER_S,
        "tenant_jain": _jain(scenario, begun.own),
        "rejected_requests": float(len(run.rejected)),
        "late_requests": float(np.sum(factors.in_time == 0) - len(run.rejected)),
        "peak_blocks_share": run.peak_blocks / scenario.deployment.kv_blocks,
    }


def _copied(run: Run) -> dict[str, float]:
    """What went to host memory and back, and below; nothing without host memory.

    ``host_hit_tokens`` of the prompts were found there; loading took ``host_load_s``.
    ``assumed_copy_curves`` are those of which nobody has measured how long they take.
    """
    copies = run.copies
    if copies is None:
        return {}
    found = {
        "swaps": float(copies.swaps),
        "swaps_refused": float(copies.refused),
        "copied_out_gb": copies.out_bytes / 1e9,
        "copied_back_gb": copies.back_bytes / 1e9,
        "copies_spared_gb": copies.spared_bytes / 1e9,
        "copy_stall_s": float(copies.stall_ps.sum()) / PS_PER_S,
        "host_hit_tokens": float(copies.hit_tokens),
        "host_load_s": copies.load_ps / PS_PER_S,
        "assumed_copy_curves": float(len(copies.assumed)),
    }
    for name, (down, up) in copies.tiers.items():
        found[f"{name}_down_gb"], found[f"{name}_up_gb"] = down / 1e9, up / 1e9
    return found


def tenant_jain(scenario: Scenario, run: Run) -> float:
    """Jain index over tenants of the mean speed of their requests.

    The speed of a request is 1 / slowdown, 0 when rejected; 1 means that every tenant
    was slowed down alike (Jain, Chiu and Hawe 1984).
    """
    return _jain(scenario, latencies(scenario, run))


def _jain(scenario: Scenario, own: Latencies) -> float:
    speed = np.nan_to_num(1.0 / own.slowdown)
    tenant = scenario.trace.tenant
    n_requests = np.bincount(tenant)
    present = n_requests > 0
    share = np.bincount(tenant, weights=speed)[present] / n_requests[present]
    squares = float(np.sum(share**2))
    return float(np.sum(share)) ** 2 / (len(share) * squares) if squares else 1.0


def _or_cut_off(at_ps: Ints, cut_off_s: Floats) -> Floats:
    return np.where(at_ps >= 0, at_ps / PS_PER_S, cut_off_s)


def _kept(promised_s: Floats, own_s: Floats) -> Floats:
    """min(1, promised / own), 1 where there is nothing to keep."""
    return promised_s / np.fmax(own_s, promised_s)


def _largest(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else 0.0
