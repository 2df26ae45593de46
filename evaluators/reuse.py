"""What finding blocks in memory saves, at most and in a run."""

from typing import NamedTuple

import numpy as np

from evaluators.cache_replay import Chains, optimal
from evaluators.scenario import Scenario
from evaluators.sim.cache.owners import Owners
from evaluators.sim.run import Run
from evaluators.views import Floats, Ints
from evaluators.workloads.trace import PS_PER_S


class Reuse(NamedTuple):
    """Engine time that found blocks saved, and how much of the prompts was found.

    ``clairvoyant_ratio`` holds the blocks found against those that a memory of this
    size finds with Belady's rule in the order in which requests were admitted, were
    every prompt computed at once.
    """

    saved_s: float
    hit_share: float
    clairvoyant_ratio: float


def reusable_s(scenario: Scenario) -> float:
    """Engine time that a memory without end could save; no eviction saves more.

    A request finds a block only if another one computed it before. Of the m requests
    that have a content, one computes it first and does not find it, whatever the order
    of service; and only the n whose prompts go on past it can find it. So it is found
    min(n, m - 1) times at most, if preempted requests do not count. Summed over all
    contents with the time that each takes at its depth.
    """
    blocks = _blocks(scenario)
    if not len(blocks.content):
        return 0.0
    known, first, at = np.unique(blocks.content, return_index=True, return_inverse=True)
    n_all = np.bincount(at, minlength=len(known))
    n_found = np.bincount(at, weights=blocks.findable, minlength=len(known))
    times = np.minimum(n_found, n_all - 1)
    block_s = Owners(scenario).recompute_s(blocks.depth[first])
    return float(np.dot(times, block_s))


def reuse(scenario: Scenario, run: Run) -> Reuse:
    """What found blocks saved in a run.

    A preempted request counts as saving nothing: what it finds again is its own. What
    was found in host memory saves less by what its copies took.
    """
    block_tokens = scenario.deployment.block_tokens
    hits = np.where(run.preemptions > 0, 0, run.hit_tokens // block_tokens)
    longest = int(hits.max(initial=0))
    block_s = Owners(scenario).recompute_s(np.arange(longest))
    before_s = np.concatenate([[0.0], np.cumsum(block_s)])
    prompts = scenario.blocks_for(scenario.trace.prompt_tokens)
    most = _clairvoyant_hits(scenario, run)
    load_s = run.copies.load_ps / PS_PER_S if run.copies else 0.0
    return Reuse(
        saved_s=max(0.0, float(before_s[hits].sum()) - load_s),
        hit_share=float(hits.sum()) / max(1, int(prompts.sum())),
        clairvoyant_ratio=float(hits.sum()) / most if most else 1.0,
    )


def _clairvoyant_hits(scenario: Scenario, run: Run) -> int:
    """Blocks that Belady's rule finds in the order of admission."""
    blocks = _blocks(scenario)
    served = np.flatnonzero(run.admitted_ps >= 0)
    order = served[np.argsort(run.admitted_ps[served], kind="stable")]
    lengths = np.bincount(blocks.row, minlength=len(scenario.trace))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    offsets = np.concatenate([[0], np.cumsum(lengths[order])])
    at = np.repeat(starts[order] - offsets[:-1], lengths[order])
    at = at + np.arange(offsets[-1])
    chains = Chains.of(offsets, blocks.content[at])
    hits = optimal(chains, scenario.deployment.kv_blocks)
    findable = np.bincount(
        blocks.row, weights=blocks.findable, minlength=len(scenario.trace)
    )
    return int(np.minimum(hits, findable[order]).sum())


class _Blocks(NamedTuple):
    """All shared blocks of all requests that fit, by request and depth."""

    row: Ints
    depth: Ints
    content: Ints
    findable: Floats


def _blocks(scenario: Scenario) -> _Blocks:
    trace, size = scenario.trace, scenario.deployment.block_tokens
    if trace.prefixes is None or not scenario.deployment.prefix_caching:
        nothing = np.zeros(0, dtype=np.int64)
        return _Blocks(nothing, nothing, nothing, np.zeros(0))
    parts = trace.prefixes.block_tokens // size
    lengths = np.diff(trace.prefixes.offsets)
    content = (trace.prefixes.ids[:, None] * parts + np.arange(parts)).reshape(-1)
    row = np.repeat(np.arange(len(trace)), lengths * parts)
    starts = np.repeat(trace.prefixes.offsets[:-1] * parts, lengths * parts)
    depth = np.arange(len(content)) - starts
    findable = depth < (trace.prompt_tokens[row] - 1) // size
    needed = scenario.blocks_for(trace.prompt_tokens + trace.output_tokens - 1)
    fits = needed[row] <= scenario.deployment.kv_blocks
    return _Blocks(row[fits], depth[fits], content[fits], findable[fits].astype(float))
