"""What the next author of a policy should know of a run: the losses and their cause."""

import numpy as np

from evaluators.metrics import Latencies, Seen, Terms, objectives, worth
from evaluators.scenario import Scenario
from evaluators.sim.run import Run
from evaluators.starvation import Gate
from evaluators.views import Floats
from evaluators.workloads.trace import PS_PER_S


def feedback(scenario: Scenario, run: Run, begun: Seen, gate: Gate, room: int) -> str:
    """At most ``room`` characters: lost utility by term, the gate, the worst requests.

    Equal runs give equal texts. ``begun`` is what was seen of the run.
    """
    own, factors = begun
    lines = [_losses(factors), _gate_line(gate), _pressure(run)]
    for row in worst_rows(factors, own):
        lines.append(_story(scenario, run, factors, own, row))
    return "\n".join(line for line in lines if line)[:room]


def worst_rows(factors: Terms, own: Latencies) -> list[int]:
    """For each objective the request it cost most, the worst first.

    Each request counts for the objective that cost it most; among equals comes the
    most slowed down.
    """
    kept = np.array(factors)
    blamed, value = kept.argmin(axis=0), worth(factors)
    order = np.lexsort((-np.nan_to_num(own.slowdown), value))
    worst: dict[int, int] = {}
    for row in order[value[order] < 1.0].tolist():
        worst.setdefault(int(blamed[row]), row)
    return list(worst.values())


def _losses(factors: Terms) -> str:
    done = factors.in_time > 0

    def lost(factor: Floats) -> float:
        return float(np.sum(1.0 - factor[done])) / len(done)

    parts = {
        "TTFT": lost(factors.ttft),
        "TPOT": lost(factors.tpot),
        "longest gap": lost(factors.gap),
        "not finished by the cut-off": 1.0 - float(done.mean()),
    }
    ranked = sorted(parts.items(), key=lambda part: -part[1])
    spelt = ", ".join(f"{name} {loss:.3f}" for name, loss in ranked)
    return f"Mean utility lost to each term: {spelt}."


def _gate_line(gate: Gate) -> str:
    if gate.factor >= 1.0:
        return "No group of requests is starved."
    return (
        f"Starved, score x {gate.factor:.3f}: {gate.tail} is {gate.own_s:.2f}, "
        f"allowed {gate.allowed_s:.2f}."
    )


def _pressure(run: Run) -> str:
    if not run.preemptions.any():
        return ""
    return (
        f"{int(run.preemptions.sum())} preemptions stalled requests for "
        f"{run.stall_ps.sum() / PS_PER_S:.1f} s in all."
    )


def _story(
    scenario: Scenario, run: Run, factors: Terms, own: Latencies, row: int
) -> str:
    """One request's fate and the decisions that led to it."""
    trace = scenario.trace
    service = scenario.classes[int(trace.slo_class[row])]
    text = (
        f"Request {row} ({service.name}, prompt {trace.prompt_tokens[row]}, output "
        f"{trace.output_tokens[row]}, predicted {trace.predicted_tokens[row]}, arrived "
        f"{run.arrived_ps[row] / PS_PER_S:.2f} s): "
    )
    if row in run.rejected:
        return text + "refused, larger than the whole KV memory."
    promised = objectives(scenario)
    text += f"utility {worth(factors)[row]:.2f}"
    for name, got, limit in (
        ("TTFT", own.ttft_s, promised.ttft_s),
        ("TPOT", own.tpot_s, promised.tpot_s),
        ("longest gap", own.gap_s, promised.gap_s),
    ):
        if got[row] > limit[row]:
            text += f", {name} {got[row]:.2f} s of {limit[row]:.2f}"
    if not factors.in_time[row]:
        text += ", finished after the cut-off"
    return text + _decisions(scenario, run, row) + "."


def _decisions(scenario: Scenario, run: Run, row: int) -> str:
    """How long it waited, who overtook it, and when it was preempted."""
    arrived_ps = int(run.arrived_ps[row])
    admitted_ps = int(run.admitted_ps[row])
    waited_s = (admitted_ps - arrived_ps) / PS_PER_S
    overtook = [
        decision.row
        for decision in run.decisions
        if decision.kind == "admit"
        and decision.row > row
        and arrived_ps <= decision.at_ps < admitted_ps
    ]
    text = f"; waited {waited_s:.2f} s for admission"
    if overtook:
        prompts = scenario.trace.prompt_tokens[overtook]
        text += (
            f" while {len(overtook)} later arrivals went first (mean prompt "
            f"{prompts.mean():.0f})"
        )
    lost = [d.at_ps for d in run.decisions if d.kind == "preempt" and d.row == row]
    if lost:
        text += f"; preempted {len(lost)} times, first at {lost[0] / PS_PER_S:.2f} s"
    return text
