"""Requests made up for the comparison: shared prefixes, ties, and little memory."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.workloads.prefixes import Prefixes, Sessions
from evaluators.workloads.trace import Trace

ROWS = 200
BLOCK_TOKENS = 16
TIGHT = 60
LONGEST_TOKENS = 600
CLASSES = (
    ServiceClass("tight", 2e-6, 1e-8, 1e-7, "made up for tests"),
    ServiceClass("loose", 8e-6, 1e-7, 1e-6, "made up for tests"),
)
STEP_TIME = StepTime(
    tokens_ps=(500, 510, 530),
    decodes_ps=(0, 7),
    context_knots=(0, 90, 150),
    context_ps=((0, 1), (2,), (0, 1)),
    prefill_token_ps=3,
    prefill_work_ps=1,
    prefill_ps=11,
    prefill_context_ps=1,
    longest_context_ps=1,
)


def scenario(seed: int, requests: str, **deployment: int | bool) -> Scenario:
    """200 requests of one of ``KINDS`` on one engine, with the sizes given."""
    rng = np.random.default_rng((seed, 20))
    sizes = {"kv_blocks": TIGHT, "max_running": 12, "max_step_tokens": 256}
    where = Deployment("drawn", block_tokens=BLOCK_TOKENS, **(sizes | deployment))
    trace = KINDS[requests](rng)
    if seed == 3 and requests == "open":
        trace = replace(trace, prefixes=_prefixes(rng, trace.prompt_tokens, 2))
    return Scenario(
        f"{requests}/{seed}",
        "train",
        1.0,
        trace,
        where,
        STEP_TIME,
        CLASSES,
        "made up for tests",
        0.2,
    )


def _open(rng: np.random.Generator) -> Trace:
    """Requests that share prefixes and come at times of their own."""
    prompt, output = rng.integers(1, 240, ROWS), rng.integers(1, 160, ROWS)
    whole = rng.random(ROWS) < 0.3
    prompt[whole] = -(-prompt[whole] // BLOCK_TOKENS) * BLOCK_TOKENS
    trace = _trace(rng, prompt, output)
    return replace(trace, prefixes=_prefixes(rng, prompt))


def _untimely(rng: np.random.Generator) -> Trace:
    """The same, but some continue the output of one that may still be running."""
    trace = _open(rng)
    tokens = trace.prompt_tokens + trace.output_tokens
    return replace(trace, prefixes=_prefixes(rng, tokens))


def _sessions(rng: np.random.Generator) -> Trace:
    """Conversations: a turn continues all of the turn before, some time after it."""
    output, added = rng.integers(1, 100, ROWS), rng.integers(1, 120, ROWS)
    after = np.full(ROWS, -1)
    prompt = added.copy()
    last: list[int] = []
    chains: list[list[int]] = []
    fresh = 0
    for row in range(ROWS):
        chain: list[int] = []
        if len(last) > 20 or (last and rng.random() < 0.5):
            before = last.pop(int(rng.integers(len(last))))
            after[row] = before
            prompt[row] += prompt[before] + output[before]
            chain = list(chains[before])
        tokens = int(prompt[row] + output[row])
        missing = tokens // BLOCK_TOKENS - len(chain)
        chains.append(chain + list(range(fresh, fresh + missing)))
        fresh += missing
        if tokens < LONGEST_TOKENS:
            last.append(row)
    trace = _trace(rng, prompt, output)
    waits = rng.integers(0, 30, ROWS) * 5_000
    is_tool = rng.integers(0, 2, ROWS)
    return replace(
        trace,
        prefixes=_joined(chains, BLOCK_TOKENS),
        sessions=Sessions(after, waits, is_tool),
    )


KINDS: dict[str, Callable[[np.random.Generator], Trace]] = {
    "open": _open,
    "sessions": _sessions,
    "untimely": _untimely,
}


def _trace(rng: np.random.Generator, prompt: np.ndarray, output: np.ndarray) -> Trace:
    return Trace(
        # Times on a coarse grid, so that many requests come together.
        np.sort(rng.integers(0, 2_500 * ROWS, ROWS) // 5_000 * 5_000),
        prompt,
        output,
        np.maximum(1, rng.normal(output, 10).astype(np.int64)),
        rng.integers(0, 3, ROWS),
        rng.integers(0, 2, ROWS),
    )


def _prefixes(rng: np.random.Generator, tokens: np.ndarray, parts: int = 1) -> Prefixes:
    """A tree: most requests continue an earlier one, with up to so many tokens.

    Its blocks are ``parts`` blocks of the engine.
    """
    chains: list[list[int]] = []
    fresh = 0
    for row in range(ROWS):
        most = int(tokens[row]) // (BLOCK_TOKENS * parts)
        chain: list[int] = []
        if chains and rng.random() < 0.7:
            earlier = chains[int(rng.integers(max(0, row - 40), row))]
            chain = earlier[: int(rng.integers(0, len(earlier) + 1))][:most]
        missing = int(rng.integers(len(chain), most + 1)) - len(chain)
        chains.append(chain + list(range(fresh, fresh + missing)))
        fresh += missing
    return _joined(chains, BLOCK_TOKENS * parts)


def _joined(chains: list[list[int]], block_tokens: int) -> Prefixes:
    offsets = np.cumsum([0, *map(len, chains)])
    ids = np.concatenate([np.array(chain, dtype=np.int64) for chain in chains])
    return Prefixes(block_tokens, offsets, ids)
