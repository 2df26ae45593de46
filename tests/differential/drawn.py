"""Requests made up for the comparison: shared prefixes, ties, and little memory."""

from dataclasses import replace

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.trace import Trace

ROWS = 200
BLOCK_TOKENS = 16
PLENTY, TIGHT = 400, 60
CLASSES = (
    ServiceClass("tight", 2e-6, 1e-8, 1e-7, "made up for tests"),
    ServiceClass("loose", 8e-6, 1e-7, 1e-6, "made up for tests"),
)
STEP_TIME = StepTime(
    tokens_ps=(500, 510, 530),
    decodes_ps=(0, 7),
    context_ps=(0, 1),
    prefill_token_ps=3,
    prefill_work_ps=0,
    longest_context_ps=1,
)


def scenario(seed: int, **deployment: int | bool) -> Scenario:
    """200 requests on one engine, with the sizes given."""
    rng = np.random.default_rng((seed, 20))
    prompt, output = rng.integers(1, 240, ROWS), rng.integers(1, 160, ROWS)
    whole = rng.random(ROWS) < 0.3
    prompt[whole] = -(-prompt[whole] // BLOCK_TOKENS) * BLOCK_TOKENS
    span = 2_500 * ROWS
    trace = Trace(
        # Times on a coarse grid, so that many requests come together.
        np.sort(rng.integers(0, span, ROWS) // 5_000 * 5_000),
        prompt,
        output,
        np.maximum(1, rng.normal(output, 10).astype(np.int64)),
        rng.integers(0, 3, ROWS),
        rng.integers(0, 2, ROWS),
    )
    sizes = {"kv_blocks": PLENTY, "max_running": 12, "max_step_tokens": 256}
    where = Deployment("drawn", block_tokens=BLOCK_TOKENS, **(sizes | deployment))
    if where.prefix_caching:
        trace = replace(trace, prefixes=_prefixes(rng, trace))
    return Scenario(
        f"drawn/{seed}", "train", 1.0, trace, where, STEP_TIME, CLASSES, "made up", 0.2
    )


def _prefixes(rng: np.random.Generator, trace: Trace) -> Prefixes:
    """A tree: most requests continue an earlier one's prompt."""
    chains: list[list[int]] = []
    fresh = 0
    for row in range(ROWS):
        most = int(trace.prompt_tokens[row]) // BLOCK_TOKENS
        chain: list[int] = []
        if chains and rng.random() < 0.7:
            earlier = chains[int(rng.integers(max(0, row - 40), row))]
            chain = earlier[: int(rng.integers(0, len(earlier) + 1))][:most]
        named = int(rng.integers(len(chain), most + 1))
        chain = chain + list(range(fresh, fresh + named - len(chain)))
        fresh = max(fresh, max(chain, default=-1) + 1)
        chains.append(chain)
    offsets = np.cumsum([0, *map(len, chains)])
    return Prefixes(BLOCK_TOKENS, offsets, np.concatenate(chains))
