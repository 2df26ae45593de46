"""What a setting may be whose default does not tell."""

from collections.abc import Mapping

KINDS_OF_NULL: Mapping[str, type] = {
    "run": str,
    "candidate": str,
    "secret": str,
    "workers": int,
    "data": str,
    "trace": str,
    "plot": str,
    "problem.fleet.wire": str,
    "budget.evaluations": int,
    "budget.tokens": int,
    "budget.usd": float,
    "budget.seconds": float,
    "llm.base_url": str,
    "llm.path": str,
    "llm.temperature": float,
    "llm.usd_per_million_prompt_tokens": float,
    "llm.usd_per_million_completion_tokens": float,
    "workload.data": str,
}
"""Of keys whose default is null or a reference."""
COMPANIONS = "companions"
"""Section that has a key for each problem."""
RECIPES = "experiment"
"""Group whose members override keys of the others."""


def kind_of_null(key: str) -> type | None:
    """What a key may be besides null; None where nothing says so."""
    return str if key.startswith(f"{COMPANIONS}.") else KINDS_OF_NULL.get(key)
