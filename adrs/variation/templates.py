"""Ideas of the field as templates: conditions, keys and step sizes with tunables."""

from typing import NamedTuple

from adrs.variation.ranking import Number

FAR = "1e9"
"""Added to a key, it outweighs everything else that the key holds."""


class Template(NamedTuple):
    """Text over ``view``, ``engine`` and ``$tunables``, and what it does in words."""

    note: str
    text: str
    numbers: tuple[Number, ...] = ()


DUE = "view.first_token_due_s - engine.now_s"
OWN_SLO = "engine.classes.ttft_s[view.slo_class]"
PREFILL = Number("prefill_s_per_token", 2e-5, 5e-4, "seconds to prefill a token")

LATER = (
    Template(
        "requests past their deadline last",
        f"{DUE} < -$grace_s",
        (Number("grace_s", 0.05, 20.0, "seconds past due before it is given up"),),
    ),
    Template(
        "requests that cannot make their deadline last",
        f"{DUE} < $prefill_s_per_token * view.prompt_tokens",
        (PREFILL,),
    ),
    Template(
        "requests late beyond a multiple of their objective last",
        f"engine.now_s - view.arrived_s > $patience * {OWN_SLO}",
        (Number("patience", 0.8, 8.0, "multiples of the TTFT objective"),),
    ),
    Template(
        "long prompts last",
        "view.prompt_tokens > $long_tokens",
        (Number("long_tokens", 500, 8000, "prompt tokens", is_whole=True),),
    ),
    Template(
        "patient classes last",
        f"{OWN_SLO} > $patient_s",
        (Number("patient_s", 0.3, 20.0, "TTFT objective in seconds"),),
    ),
    Template(
        "tenants with many running requests last",
        "engine.tenants.running[view.tenant] > $fair_running",
        (Number("fair_running", 4, 100, "running requests", is_whole=True),),
    ),
    Template(
        "long predicted outputs last",
        "view.predicted_tokens > $chatty_tokens",
        (Number("chatty_tokens", 100, 1000, "predicted output tokens", is_whole=True),),
    ),
)
"""Conditions under which a request should wait."""

SOONER = (
    Template(
        "requests about to miss their deadline first",
        f"np.abs({DUE} - $lead_s) < $urgent_s",
        (
            Number("lead_s", 0.05, 1.0, "seconds before the deadline"),
            Number("urgent_s", 0.05, 2.0, "seconds around that"),
        ),
    ),
    Template(
        "starving requests first",
        "engine.now_s - view.arrived_s > $starving_s",
        (Number("starving_s", 5.0, 120.0, "seconds of waiting"),),
    ),
    Template(
        "short prompts first",
        "view.prompt_tokens < $short_tokens",
        (Number("short_tokens", 50, 2000, "prompt tokens", is_whole=True),),
    ),
    Template(
        "preempted requests first",
        "view.generated_tokens > 0",
    ),
)
"""Conditions under which a request should go at once."""

HOLD = (
    Template(
        "hold back what leaves too few free blocks",
        "view.blocks_needed + $reserve_blocks > engine.free_blocks",
        (Number("reserve_blocks", 10, 2000, "KV blocks kept free", is_whole=True),),
    ),
    Template(
        "hold back what may not fit with its output",
        "view.blocks_needed + $foresight * view.predicted_tokens / engine.block_tokens"
        " > engine.free_blocks",
        (Number("foresight", 0.2, 3.0, "share of the predicted output reserved"),),
    ),
    Template(
        "hold back beyond a number of running requests",
        "engine.n_running >= $most_running",
        (Number("most_running", 16, 300, "running requests", is_whole=True),),
    ),
)
"""Conditions under which a request is held back while anything runs."""

KEYS = (
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
"""Whole keys for admission; lowest first."""

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
"""Whole keys for preemption; highest first."""

COUNTS = (
    Template(
        "a fixed number of tokens",
        "return $budget_tokens",
        (Number("budget_tokens", 256, 2048, "tokens", is_whole=True),),
    ),
    Template(
        "fewer tokens the more requests decode",
        "return int(max($least_tokens, $budget_tokens"
        " - $tokens_per_decoding * engine.n_decoding))",
        (
            Number("least_tokens", 128, 768, "tokens", is_whole=True),
            Number("budget_tokens", 512, 2048, "tokens", is_whole=True),
            Number("tokens_per_decoding", 0.5, 12.0, "tokens given up per request"),
        ),
    ),
    Template(
        "tokens that keep a step near a target time",
        "speed = $budget_tokens * $target_s / max(engine.last_step_s, 0.001)\n"
        "return int(min(max(speed, $least_tokens), engine.max_step_tokens))",
        (
            Number("budget_tokens", 256, 2048, "tokens", is_whole=True),
            Number("target_s", 0.02, 0.2, "seconds a step should take"),
            Number("least_tokens", 128, 768, "tokens", is_whole=True),
        ),
    ),
    Template(
        "more tokens when many wait",
        "crowd = engine.n_waiting / (engine.n_waiting + $many_waiting)\n"
        "return int($least_tokens + crowd * $extra_tokens)",
        (
            Number("many_waiting", 2.0, 50.0, "waiting requests"),
            Number("least_tokens", 256, 1536, "tokens", is_whole=True),
            Number("extra_tokens", 128, 2048, "tokens", is_whole=True),
        ),
    ),
    Template(
        "fewer tokens for the context of what decodes",
        "return int(max($least_tokens, $budget_tokens"
        " - engine.context_tokens * $share_of_context))",
        (
            Number("least_tokens", 128, 768, "tokens", is_whole=True),
            Number("budget_tokens", 512, 2048, "tokens", is_whole=True),
            Number("share_of_context", 5e-4, 1e-2, "prefill per context token"),
        ),
    ),
)
"""Bodies of hooks that return a count of tokens (chunks: Sarathi-Serve's range)."""

RULES = (
    Template(
        "full steps while nothing decodes",
        "if not engine.n_decoding:\n    return engine.max_step_tokens",
    ),
    Template(
        "other steps while few decode",
        "if engine.n_decoding < $few_decoding:\n    return $quiet_tokens",
        (
            Number("few_decoding", 2, 64, "decoding requests", is_whole=True),
            Number("quiet_tokens", 512, 4096, "tokens", is_whole=True),
        ),
    ),
    Template(
        "other steps while many wait",
        "if engine.n_waiting > $many_waiting:\n    return $rush_tokens",
        (
            Number("many_waiting", 2, 60, "waiting requests", is_whole=True),
            Number("rush_tokens", 512, 4096, "tokens", is_whole=True),
        ),
    ),
    Template(
        "smaller steps while blocks are scarce",
        "if engine.free_blocks < $scarce_share * engine.total_blocks:\n"
        "    return $scarce_tokens",
        (
            Number("scarce_share", 0.02, 0.4, "share of KV blocks"),
            Number("scarce_tokens", 128, 1024, "tokens", is_whole=True),
        ),
    ),
)
"""Exceptions at the head of a hook that returns a count of tokens."""
