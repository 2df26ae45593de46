"""What one engine runs next: admission order, victims, step budgets or whole plans."""

from collections.abc import Mapping

from evaluators.bounds import utility_bound
from evaluators.companions import companion
from evaluators.evaluation import Outcome
from evaluators.feedback import feedback
from evaluators.fleet_bound import fleet_bound
from evaluators.judging import judge
from evaluators.manners import Manner
from evaluators.metrics import measure, seen
from evaluators.problem import Hook, Standard
from evaluators.scenario import Scenario
from evaluators.sim.engine import simulate
from evaluators.sim.hooks import HOOKS, VIEWS
from evaluators.sim.laws import LawBrokenError, check
from evaluators.sim.run import Run
from evaluators.starvation import gate, tails
from evaluators.views import (
    CLASS_COLUMNS,
    ENGINE_CONSTANTS,
    ENGINE_SCALARS,
    TENANT_COLUMNS,
    Column,
)

ROUNDING = 1e-9
"""How far a score may exceed 1 by rounding; more means that the bound is wrong."""

MOST_CHARACTERS = 1500
"""Room for the feedback of a scenario; a prompt holds a dozen of them."""

BRIEF = '''\
Decide what one LLM serving engine runs next. The engine batches continuously: in each
step every running request that is past its prompt emits one token, and what is left of
the step's token budget computes prompts in chunks. Requests that wait are admitted in
the order of admit_key until one does not fit into the free KV blocks or slots. KV
memory grows with every token; when it runs out, the engine preempts the running request
that victim_key ranks highest (without the hook: the last admitted), drops its KV and
recomputes it after it is admitted again. A step takes longer with more tokens: a large
prompt chunk delays the next token of every running request.

Score of a scenario: mean over all requests of
  min(1, TTFT objective / TTFT) * min(1, TPOT objective / TPOT)
  * min(1, gap objective / longest gap between two tokens),
0 for what is not finished ten of its TTFT objectives after the last arrival; times a
starvation factor (in every group of service class and prompt length, the mean of the
ten slowest TTFTs and longest gaps may reach 1.5x that of first come, first served, or
the objective); over a bound that no policy can exceed. Loads range from half to 1.2x of
what first come, first served sustains. TTFT is the time from arrival to the first
token, TPOT the mean time per later token.

Decisions cost nothing but must be cheap (numpy on a few hundred rows). Output lengths
are known only as predicted_tokens, with an error.

Ideas: a request that is hopelessly late gains little from hurrying; short prompts cost
others little; admitting less keeps gaps and preemptions rare under pressure.

Example of a policy:
"""Shortest prompt first, aged so that a long prompt cannot starve."""


class AgedShortestPrompt:
    forgiveness = 400.0  # prompt tokens forgiven per second of waiting

    def admit_key(self, waiting, engine):
        waited_s = engine.now_s - waiting.arrived_s
        return waiting.prompt_tokens - self.forgiveness * waited_s
'''


MANNERS = (
    Manner(
        "ask",
        "event",
        words=("event", "iteration"),
        has_number=True,
        expected="event, iteration or seconds",
    ),
    Manner("holds_back", default=False),
)


HEADLINE = (
    "ttft_p99_s",
    "tpot_p99_s",
    "longest_gap_p99_s",
    "attained_share",
    "output_tokens_per_s",
    "preemptions",
    "starvation_factor",
)


class Scheduling:
    """Serve a scenario with one engine under a policy and score its users' utility."""

    name = "scheduling"
    brief = BRIEF
    hooks: tuple[Hook, ...] = HOOKS
    manners: tuple[Manner, ...] = MANNERS
    views: Mapping[str, tuple[Column, ...]] = {
        **VIEWS,
        "engine": (*ENGINE_SCALARS, *ENGINE_CONSTANTS),
        "engine.tenants": TENANT_COLUMNS,
        "engine.classes": CLASS_COLUMNS,
    }
    headline = HEADLINE

    def standard(self, scenario: Scenario) -> Standard:
        """Bound of the mean utility, and the tails of the engine's own rules."""
        run = self.serve(None, scenario)
        check(scenario, run)
        return Standard(_bound(scenario), tails(scenario, run))

    def serve(self, policy: object, scenario: Scenario) -> Run:
        """Serve the scenario by one engine."""
        return simulate(scenario, policy, eviction=companion(scenario, "eviction"))

    def evaluate(
        self, policy: object, scenario: Scenario, standard: Standard
    ) -> Outcome:
        """Serve, check the laws, score: mean utility x starvation gate / bound.

        A policy's fault is an outcome with a failure and score 0. Raises
        ``LawBrokenError`` when the run breaks a law or exceeds the bound: our bug.
        """
        return judge(
            scenario,
            lambda: self.serve(policy, scenario),
            lambda run: judged(scenario, run, standard),
        )


def _bound(scenario: Scenario) -> float:
    """Upper bound of the mean utility, whatever is found in memory or follows what."""
    finds = scenario.deployment.prefix_caching
    follows = scenario.trace.sessions is not None
    return fleet_bound(scenario) if finds or follows else utility_bound(scenario)


def judged(scenario: Scenario, run: Run, standard: Standard) -> Outcome:
    """Outcome of a finished run; raises ``LawBrokenError`` above the bound."""
    begun = seen(scenario, run)
    metrics = measure(scenario, run, begun)
    barrier = gate(scenario, run, standard.tails, begun.own)
    value = metrics["utility_mean"] * barrier.factor
    score = value / standard.bound if standard.bound > 0 else 1.0
    if score > 1.0 + ROUNDING:
        raise LawBrokenError(
            f"scenario {scenario.name}: mean utility {value:.9f} exceeds the bound "
            f"{standard.bound:.9f} that no policy can exceed"
        )
    metrics |= {"starvation_factor": barrier.factor, "utility_bound": standard.bound}
    ratio = metrics["utility_mean"] / standard.bound if standard.bound > 0 else 1.0
    metrics["bound_ratio"] = ratio
    metrics |= {"questions": float(run.questions), "iterations": float(run.iterations)}
    head = (
        f"Load {scenario.regime:g}x: score {score:.4f} = mean utility "
        f"{metrics['utility_mean']:.4f} x starvation factor {barrier.factor:.3f} / "
        f"bound {standard.bound:.4f}.\n"
    )
    return Outcome(
        scenario=scenario.name,
        regime=scenario.regime,
        score=min(1.0, score),
        metrics=metrics,
        feedback=head
        + feedback(scenario, run, begun, barrier, room=MOST_CHARACTERS - len(head)),
    )


PROBLEM = Scheduling()
