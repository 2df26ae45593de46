"""Ideas of the field as templates: conditions and step sizes with tunables."""

from adrs.variation.readings import (
    DUE,
    MISSED,
    OWN_SLO,
    PREFILL,
    QUEUED,
    Number,
    Template,
)

FAR = "1e9"
"""Added to a key, it outweighs everything else that the key holds."""


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
    Template(
        "crowded replicas last",
        "view.outstanding > $crowd * view.outstanding.mean() + $spare",
        (
            Number("crowd", 1.02, 2.0, "multiples of the mean load"),
            Number("spare", 0.5, 20.0, "requests beyond that"),
        ),
    ),
    Template(
        "replicas short of memory last",
        "view.free_blocks < $scarce_share * view.total_blocks",
        (Number("scarce_share", 0.01, 0.4, "share of KV blocks"),),
    ),
    Template(
        "replicas with much to compute last",
        f"{QUEUED} > $long_tokens + {MISSED}",
        (Number("long_tokens", 500, 20000, "prompt tokens", is_whole=True),),
    ),
    Template("blocks that nobody ever found last", "view.hits < 1"),
    Template(
        "deep blocks last",
        "view.depth > $deep",
        (Number("deep", 10, 1000, "blocks before it", is_whole=True),),
    ),
    Template(
        "blocks idle for long last",
        "now_s - view.last_used_s > $stale_s",
        (Number("stale_s", 5.0, 300.0, "seconds since last use"),),
    ),
)
"""Conditions for a later turn: to wait, to be avoided, to be worth little."""

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
    Template(
        "replicas that have most of the prompt first",
        "view.cached_tokens > $match * request.prompt_tokens",
        (Number("match", 0.1, 0.95, "share of the prompt"),),
    ),
    Template(
        "replicas with little to do first",
        "view.outstanding < $few",
        (Number("few", 1, 40, "requests", is_whole=True),),
    ),
    Template(
        "blocks found often first",
        "view.hits > $often",
        (Number("often", 1, 20, "hits", is_whole=True),),
    ),
    Template(
        "shallow blocks first",
        "view.depth < $shallow",
        (Number("shallow", 2, 500, "blocks before it", is_whole=True),),
    ),
    Template("blocks of tool loops first", "view.owner == 1"),
    Template("blocks of people first", "view.owner == 2"),
)
"""Conditions for an earlier turn: to go at once, to be chosen, to be kept."""

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
