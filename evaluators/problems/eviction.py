"""Which cached KV blocks make room for new ones."""

from collections.abc import Mapping

from evaluators.companions import companion
from evaluators.evaluation import Outcome
from evaluators.judging import judge
from evaluators.manners import Manner
from evaluators.metrics import measure, seen
from evaluators.problem import Hook, Standard
from evaluators.reuse import reusable_s, reuse
from evaluators.scenario import Scenario
from evaluators.sim.cache.evict import HOOKS, MANNERS
from evaluators.sim.engine import simulate
from evaluators.sim.laws import LawBrokenError, check
from evaluators.sim.run import Run
from evaluators.starvation import gate, tails
from evaluators.views import Column
from evaluators.views_blocks import Blocks, Events

ROUNDING = 1e-9
"""How far a score may exceed 1 by rounding; more means that the bound is wrong."""

BRIEF = '''\
Decide which KV blocks an LLM serving engine forgets. The engine keeps the blocks of
finished requests until it needs their memory; a prompt that begins like an earlier one
is computed only from its first missing block on. Blocks are hash-chained: a block is
found only while all blocks before it (lower depth) are in memory, so a lost block makes
those behind it worthless, which stay until they are evicted. Only blocks that no
running request holds may go. Unused memory is taken first; then the block of the lowest
keep_value, among equals the one let go of first (of a request the deepest goes first).

Score of a scenario: engine time that found blocks saved, over all requests that were
never preempted; times a starvation factor (in every group of service class and prompt
length, the mean of the ten slowest TTFTs and longest gaps may reach 1.5x that of least
recently used, or the objective); over what a memory without end could save. Loads range
from half to 1.2x of what the engine sustains with least recently used.

Where requests come in sessions, a turn goes on from the context of the one before it,
after a tool has answered (seconds) or a person has thought (minutes, or never).

Ideas: the first blocks of many prompts are the same and worth most; deep blocks cost
more to compute; what was found twice is found again; a session that waits for a tool
comes back soon; what a person left may never be used again.

Example of a policy:
"""Keep the blocks that save the most recompute time per second since last use."""

import numpy as np


class CostPerAge:
    rescore = "always"  # values change while blocks rest
    grace_s = 2.0  # younger blocks are all about equally fresh

    def keep_value(self, blocks, now_s):
        saved_s = blocks.recompute_s * (1 + np.log1p(blocks.hits))
        return saved_s / (now_s - blocks.last_used_s + self.grace_s)
'''

HEADLINE = (
    "saved_share",
    "clairvoyant_ratio",
    "ttft_mean_s",
    "ttft_p99_s",
    "recompute_s",
    "starvation_factor",
)


class Eviction:
    """Serve a scenario with one engine, evict by a policy, score the time it saved."""

    name = "eviction"
    brief = BRIEF
    hooks: tuple[Hook, ...] = HOOKS
    manners: tuple[Manner, ...] = MANNERS
    views: Mapping[str, tuple[Column, ...]] = {
        "blocks": Blocks.columns(),
        "accessed": Events.columns(),
        "evicted": Events.columns(),
        "now_s": (Column("now_s", "time now; a number"),),
    }
    headline = HEADLINE

    def standard(self, scenario: Scenario) -> Standard:
        """What a memory without end could save; tails of the engine's own order."""
        run = self.serve(None, scenario)
        check(scenario, run)
        return Standard(reusable_s(scenario), tails(scenario, run))

    def serve(self, policy: object, scenario: Scenario) -> Run:
        """Serve the scenario; its companion of scheduling decides what runs."""
        return simulate(scenario, companion(scenario, "scheduling"), eviction=policy)

    def evaluate(
        self, policy: object, scenario: Scenario, standard: Standard
    ) -> Outcome:
        """Serve, check the laws, score: time saved x starvation gate / bound.

        A policy's fault is an outcome with a failure and score 0. Raises
        ``LawBrokenError`` when the run breaks a law or exceeds the bound: our bug.
        """
        return judge(
            scenario,
            lambda: self.serve(policy, scenario),
            lambda run: judged(scenario, run, standard),
        )


def judged(scenario: Scenario, run: Run, standard: Standard) -> Outcome:
    """Outcome of a finished run; raises ``LawBrokenError`` above the bound."""
    found, begun = reuse(scenario, run), seen(scenario, run)
    barrier = gate(scenario, run, standard.tails, begun.own)
    bound_s = standard.bound
    share = found.saved_s / bound_s if bound_s > 0 else 1.0
    if share > 1.0 + ROUNDING:
        raise LawBrokenError(
            f"scenario {scenario.name}: found blocks saved {found.saved_s:.9f} s, more "
            f"than the {bound_s:.9f} s that a memory without end could save"
        )
    score = min(1.0, share) * barrier.factor
    metrics = measure(scenario, run, begun) | {
        "saved_share": share,
        "bound_ratio": share,
        "saved_s": found.saved_s,
        "saved_bound_s": bound_s,
        "recompute_s": bound_s - found.saved_s,
        "hit_share": found.hit_share,
        "clairvoyant_ratio": found.clairvoyant_ratio,
        "starvation_factor": barrier.factor,
        "questions": float(run.questions),
        "iterations": float(run.iterations),
    }
    return Outcome(
        scenario=scenario.name,
        regime=scenario.regime,
        score=score,
        metrics=metrics,
        feedback=told(scenario, score, metrics),
    )


def told(scenario: Scenario, score: float, metrics: Mapping[str, float]) -> str:
    """What was saved and lost, for the next author of a policy."""
    lines = [
        f"Load {scenario.regime:g}x: score {score:.4f} = saved "
        f"{metrics['saved_s']:.2f} s of {metrics['saved_bound_s']:.2f} s x starvation "
        f"factor {metrics['starvation_factor']:.3f}.",
        f"Found {metrics['hit_share']:.1%} of all prompt blocks; "
        f"{metrics['clairvoyant_ratio']:.1%} of what knowing the future finds in this "
        "order of service.",
        f"Time to first token: mean {metrics['ttft_mean_s']:.3f} s, P99 "
        f"{metrics['ttft_p99_s']:.3f} s; {metrics['preemptions']:.0f} preemptions.",
    ]
    return "\n".join(lines)


PROBLEM = Eviction()
