"""Which replica serves a request, and which one goes on with it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from evaluators.evaluation import Outcome
from evaluators.fleet_bound import fleet_bound
from evaluators.judging import judge
from evaluators.manners import Manner
from evaluators.problem import Hook, Standard
from evaluators.problems.scheduling import judged
from evaluators.scenario import Scenario
from evaluators.sim.cluster.routing import HOOKS, MANNERS, VIEWS
from evaluators.sim.cluster.serving import serve_fleet
from evaluators.sim.laws import check
from evaluators.sim.run import Run
from evaluators.starvation import tails
from evaluators.views import Column

BRIEF = '''\
Decide which replica of a fleet serves each request. A replica batches continuously:
each step emits a token for every request past its prompt and computes prompts in chunks
with what is left of its token budget; requests wait, first come, first served, until
slot and KV memory are free. Memory keeps the blocks of finished prompts until it needs
them, so a prompt whose beginning is in a replica's memory is computed from there on
only: sending equal beginnings to the same replica saves work and crowds it.

Reports are stale: the columns of replicas are of the last report (report_age_s), apart
from healthy, outstanding, sent, sent_tokens and in_migrations, which the router knows
by itself. Between two reports, all requests sent by the same report to the same "best"
replica pile up there: count sent and sent_tokens, too. cached_tokens is of the report
as well: a prompt that was just sent somewhere shows there only in the next one.

Score of a scenario: mean over all requests of
  min(1, TTFT objective / TTFT) * min(1, TPOT objective / TPOT)
  * min(1, gap objective / longest gap between two tokens),
times a starvation factor (in every group of service class and prompt length, the mean
of the ten slowest TTFTs and longest gaps may reach 1.5x that of the fleet's own rule,
or the objective); over a bound that no policy can exceed. Loads range from 0.8x to 1.5x
of what the fleet's own rule sustains. A replica refuses a request that its memory can
never hold, and that request is lost.

Ideas: estimate the wait in front of the first token from queued_tokens, sent_tokens,
cached_tokens and tokens_per_s; many decoding requests slow the tokens of all; keep a
session or a prefix at home until its replica is clearly busier than another; a policy
may keep its own record of where it sent what.

Example of a policy:
"""Send a prompt where its first token should come soonest."""

import numpy as np


class EarliestFirstToken:
    crowding = 1.2  # delay from one queued token, against one of our own

    def route(self, request, replicas):
        queued = replicas.queued_tokens + replicas.sent_tokens
        own = request.prompt_tokens - replicas.cached_tokens
        wait_s = (self.crowding * queued + own) / replicas.tokens_per_s
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmin(np.where(usable, wait_s, np.inf))
'''


HEADLINE = (
    "ttft_p99_s",
    "tpot_p99_s",
    "longest_gap_p99_s",
    "attained_share",
    "hit_share",
    "computed_tokens_cv",
    "starvation_factor",
)


class LoadBalancing:
    """Serve a scenario by a fleet under a router and score its users' utility."""

    name = "load_balancing"
    brief = BRIEF
    hooks: tuple[Hook, ...] = HOOKS
    manners: tuple[Manner, ...] = MANNERS
    views: Mapping[str, tuple[Column, ...]] = VIEWS
    headline = HEADLINE

    def standard(self, scenario: Scenario) -> Standard:
        """Bound of the mean utility, and the tails of the fleet's own rule."""
        run = self.serve(None, scenario)
        check(scenario, run)
        return Standard(fleet_bound(scenario), tails(scenario, run))

    def serve(self, policy: object, scenario: Scenario) -> Run:
        """Serve the scenario by its fleet."""
        return serve_fleet(scenario, policy)

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
            lambda run: outcome_of(scenario, run, standard),
        )


def outcome_of(scenario: Scenario, run: Run, standard: Standard) -> Outcome:
    """The outcome of one engine's judge, and how the replicas shared the work."""
    outcome = judged(scenario, run, standard)
    spread = spread_of(scenario, run)
    return replace(
        outcome,
        metrics={**outcome.metrics, **spread},
        feedback=f"{told(scenario, run, spread)}\n{outcome.feedback}",
    )


def spread_of(scenario: Scenario, run: Run) -> dict[str, float]:
    """How evenly the replicas were used, and how much of the prompts they had."""
    prompt = scenario.trace.prompt_tokens
    served = run.finished_ps >= 0
    tokens = _per_replica(scenario, run, (prompt - run.hit_tokens)[served])
    mean = float(tokens.mean())
    asked = int(prompt[served].sum())
    return {
        "hit_share": float(run.hit_tokens[served].sum()) / max(asked, 1),
        "computed_tokens_cv": float(tokens.std()) / mean if mean > 0 else 0.0,
    }


def told(scenario: Scenario, run: Run, spread: Mapping[str, float]) -> str:
    """Who served how much, for the next author of a policy."""
    served = run.finished_ps >= 0
    counts = _per_replica(scenario, run, served[served])
    spelt = ", ".join(f"{count:.0f}" for count in counts)
    return (
        f"Replicas served {spelt} requests; {spread['hit_share']:.1%} of all prompt "
        "tokens were found in memory."
    )


def _per_replica(scenario: Scenario, run: Run, values: np.ndarray) -> np.ndarray:
    """Sums of a value of each served request by the replica that finished it."""
    assert scenario.fleet is not None and run.replica is not None
    replica = run.replica[run.finished_ps >= 0]
    return np.bincount(replica, weights=values, minlength=len(scenario.fleet.members))


PROBLEM = LoadBalancing()
