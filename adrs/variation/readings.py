"""Quantities and whole keys that make sense in the field, by the columns they read.

A problem offers those whose columns its views have. ``view`` stands for the argument
whose rows are ranked; other arguments go by the names that the problem gives them.
"""

from typing import NamedTuple

import numpy as np


class Number(NamedTuple):
    """A tunable of a template: drawn between the bounds, evenly in its logarithm."""

    name: str
    low: float
    high: float
    comment: str = ""
    is_whole: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """A readable value."""
        value = float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return round(value) if self.is_whole else float(f"{value:.2g}")


class Template(NamedTuple):
    """Text over ``view``, other arguments and ``$tunables``, and what it does."""

    note: str
    text: str
    numbers: tuple[Number, ...] = ()


class Feature(NamedTuple):
    """A quantity per row that a key can be built of.

    ``scale`` is its usual magnitude; ``sign`` +1 where a larger value usually means a
    later turn, less worth or a worse choice, 0 where nobody knows. One that is
    ``signed`` may be negative.
    """

    name: str
    text: str
    scale: float
    sign: int
    signed: bool = False


FEATURES = (
    # Requests that wait or run.
    Feature("prompt", "view.prompt_tokens", 1000.0, 1),
    Feature("output", "view.predicted_tokens", 300.0, 1),
    Feature("size", "(view.prompt_tokens + view.predicted_tokens)", 1300.0, 1),
    Feature(
        "remaining",
        "np.maximum(view.predicted_tokens - view.generated_tokens, 0)",
        200.0,
        1,
    ),
    Feature("blocks", "view.blocks_needed", 60.0, 1),
    Feature("held", "view.blocks_held", 60.0, -1),
    Feature("generated", "view.generated_tokens", 100.0, -1),
    Feature("age", "(engine.now_s - view.arrived_s)", 3.0, -1),
    Feature("slack", "(view.first_token_due_s - engine.now_s)", 2.0, 1, True),
    Feature("lateness", "np.maximum(engine.now_s - view.first_token_due_s, 0)", 2.0, 1),
    Feature("leeway", "np.maximum(view.first_token_due_s - engine.now_s, 0)", 1.0, 1),
    Feature("patience", "engine.classes.ttft_s[view.slo_class]", 2.0, 1),
    Feature("share", "engine.tenants.output_tokens_served[view.tenant]", 20000.0, 1),
    Feature("prompt_share", "engine.tenants.prompt_tokens_served[view.tenant]", 1e5, 1),
    Feature("tenant_running", "engine.tenants.running[view.tenant]", 10.0, 1),
    Feature("tenant_waiting", "engine.tenants.waiting[view.tenant]", 10.0, 1),
    # Replicas, for a request.
    Feature("queued", "(view.queued_tokens + view.sent_tokens)", 3000.0, 1),
    Feature("missed", "(request.prompt_tokens - view.cached_tokens)", 1000.0, 1),
    Feature("cached_share", "view.cached_tokens / request.prompt_tokens", 0.5, -1),
    Feature(
        "wait", "(view.queued_tokens + view.sent_tokens) / view.tokens_per_s", 0.1, 1
    ),
    Feature("crowd", "view.outstanding", 30.0, 1),
    Feature("decoding", "(view.decoding + view.sent)", 20.0, 1),
    Feature("context", "view.context_tokens", 30000.0, 1),
    Feature("full", "(1 - view.free_blocks / view.total_blocks)", 0.5, 1),
    Feature("step", "view.last_step_s", 0.03, 1),
    # KV blocks that nobody holds.
    Feature("idle", "(now_s - view.last_used_s)", 30.0, 1),
    Feature("life", "(now_s - view.inserted_s)", 60.0, 1),
    Feature("hits", "view.hits", 2.0, -1),
    Feature("pace", "(1 + view.hits) / (now_s - view.inserted_s + 1)", 0.1, -1),
    Feature("cost", "view.recompute_s", 5e-4, -1),
    Feature("depth", "view.depth", 100.0, 1),
    Feature("leaf", "(view.children == 0)", 1.0, 1),
)

DUE = "view.first_token_due_s - engine.now_s"
OWN_SLO = "engine.classes.ttft_s[view.slo_class]"
PREFILL = Number("prefill_s_per_token", 2e-5, 5e-4, "seconds to prefill a token")
QUEUED = "(view.queued_tokens + view.sent_tokens)"
MISSED = "(request.prompt_tokens - view.cached_tokens)"
CROWDING = Number("crowding", 0.03, 3.0, "delay from a queued token, against our own")

ADMISSIONS = (
    Template(
        "shortest work first, dearer once late",
        f"key = (view.prompt_tokens + $base_tokens) * (1 + $late_weight"
        f" * np.maximum(-({DUE}), 0)) / {OWN_SLO}",
        (
            Number("base_tokens", 50, 2000, "tokens that any request counts"),
            Number("late_weight", 0.05, 5.0, "growth per second past due"),
        ),
    ),
    Template(
        "least slack for its work first",
        f"key = {DUE} + $prefill_s_per_token * view.prompt_tokens",
        (Number("prefill_s_per_token", 2e-5, 5e-3, "seconds of slack per token"),),
    ),
    Template(
        "work against the utility that waiting has left",
        f"wait_s = np.maximum(engine.now_s - view.arrived_s + $prefill_s_per_token"
        f" * view.prompt_tokens, {OWN_SLO})\n"
        f"key = (view.prompt_tokens + $base_tokens)"
        f" * (wait_s / {OWN_SLO}) ** $decay",
        (
            PREFILL,
            Number("base_tokens", 50, 2000, "tokens that any request counts"),
            Number("decay", 0.2, 3.0, "how fast a late request loses its turn"),
        ),
    ),
)
VICTIMS = (
    Template("least computed is preempted first", "key = -view.computed_tokens"),
    Template("latest deadline is preempted first", "key = view.first_token_due_s"),
    Template(
        "most left to do is preempted first",
        "key = np.maximum(view.predicted_tokens - view.generated_tokens, 0)"
        " - $kept_weight * view.computed_tokens",
        (Number("kept_weight", 0.02, 2.0, "worth of a computed token"),),
    ),
    Template(
        "most memory for its progress is preempted first",
        "key = view.blocks_held / (view.generated_tokens + $head_tokens)",
        (Number("head_tokens", 1.0, 200.0, "tokens"),),
    ),
)
CHOICES = (
    Template(
        "work in front of the first token and behind it",
        f"key = $crowding * {QUEUED} + {MISSED} + $answer_tokens"
        " * (view.decoding + view.waiting + view.sent)",
        (
            CROWDING,
            Number("answer_tokens", 2.0, 60.0, "tokens that a decoding request counts"),
        ),
    ),
    Template(
        "wait for the first token, dearer where many decode",
        f"key = ($crowding * {QUEUED} + {MISSED}) / view.tokens_per_s"
        " + $slowing_s * (view.decoding + view.sent)",
        (CROWDING, Number("slowing_s", 5e-5, 5e-3, "seconds per decoding request")),
    ),
    Template(
        "cached share against queue and memory",
        "key = $queue * (view.waiting + view.sent) + $memory * (1 - view.free_blocks"
        " / view.total_blocks) - view.cached_tokens / request.prompt_tokens",
        (
            Number(
                "queue", 0.02, 1.0, "share of the prompt that a queued one is worth"
            ),
            Number("memory", 0.2, 5.0, "share of the prompt that full memory is worth"),
        ),
    ),
    Template(
        "missed share against queue, memory and context",
        f"key = {MISSED} / request.prompt_tokens + $queue * (view.waiting + view.sent)"
        " + $memory * (1 - view.free_blocks / view.total_blocks)"
        " + $context * view.context_tokens / 1e5",
        (
            Number("queue", 0.005, 0.3, "share of the prompt that each queued one is"),
            Number("memory", 0.1, 3.0, "share of the prompt that full memory is"),
            Number("context", 0.03, 1.0, "share that 100,000 tokens of context are"),
        ),
    ),
)
WORTHS = (
    Template(
        "recompute time saved per second of idleness",
        "key = view.recompute_s * (1 + $hit_weight * view.hits)"
        " / (now_s - view.last_used_s + $grace_s)",
        (
            Number("hit_weight", 0.1, 10.0, "worth of a hit"),
            Number("grace_s", 0.5, 60.0, "seconds in which all are about as fresh"),
        ),
    ),
    Template(
        "last use, later for what was hit and costs much",
        "key = view.last_used_s + $hit_s * np.log1p(view.hits)"
        " + $cost_weight * view.recompute_s",
        (
            Number("hit_s", 1.0, 300.0, "seconds that a hit is worth"),
            Number("cost_weight", 1e2, 1e5, "seconds per second of recomputing"),
        ),
    ),
    Template(
        "last use, earlier for what lies deep",
        "key = view.last_used_s - $depth_s * view.depth",
        (Number("depth_s", 0.01, 3.0, "seconds for each block before it"),),
    ),
    Template(
        "last use, later where the owner will be back",
        "key = view.last_used_s + $tool_s * (view.owner == 1)"
        " + $preempted_s * (view.owner == 3)",
        (
            Number("tool_s", 3.0, 300.0, "seconds that a tool loop is worth"),
            Number("preempted_s", 3.0, 300.0, "seconds that a preempted one is worth"),
        ),
    ),
)
KEYS = {
    "admit_key": ADMISSIONS,
    "victim_key": VICTIMS,
    "route": CHOICES,
    "keep_value": WORTHS,
}
"""Whole keys by hook; those of ``route`` are of the replica to avoid."""
