"""The least machine time that a request costs under any policy, from the step time.

A step's duration is shared out among what it computes so that no share exceeds what the
step took. Shares are fixed prices: ``prompt_ps`` for a prompt token and ``answer_ps``
for a decoded one, such that a step of P prompt tokens and D decodes always lasts at
least ``P * prompt_ps + D * answer_ps`` (fixed costs are shared by as many as can run),
plus attention work, which is additive already. What decodes take longer beside a
prefill is left out: a policy may keep the two apart.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluators.calibration.step_time import StepTime, entry
from evaluators.scenario import Scenario
from evaluators.views import Floats
from evaluators.workloads.trace import PS_PER_S

ANSWER_SHARES = (0.0, 0.5, 0.75, 1.0)
"""Shares of its highest possible price that ``answer_ps`` tries."""


class Prices(NamedTuple):
    """Picoseconds of machine time that a token costs at least."""

    prompt_ps: float
    answer_ps: float


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Columns of shape (n,), seconds: what every policy spends at least.

    ``prefill_s`` and ``answer_s`` are machine time, which requests compete for;
    ``first_s`` and ``rest_s`` are the least wall-clock times to the first token and
    from there to the last one, however empty the engine is.
    """

    prefill_s: Floats
    answer_s: Floats
    first_s: Floats
    rest_s: Floats


class Tables(NamedTuple):
    """Step-time tables over all counts that can occur in a scenario.

    ``context_ps`` is the least that a context token costs, however long contexts are.
    """

    tokens_ps: Floats
    decodes_ps: Floats
    context_ps: Floats


def tables(scenario: Scenario) -> Tables:
    """Tables up to ``max_step_tokens`` tokens and the most requests at once."""
    step, most = scenario.step_time, scenario.deployment.max_step_tokens
    decodes = most_decodes(scenario)
    return Tables(
        _table(step.tokens_ps, most),
        _table(step.decodes_ps, decodes),
        np.min([_table(table, decodes) for table in step.context_ps], axis=0),
    )


def most_decodes(scenario: Scenario) -> int:
    """Requests that could decode in one step: slots, tokens and prompts in memory.

    Prompts may share all of their memory where prefixes are cached.
    """
    engine = scenario.deployment
    if engine.prefix_caching:
        return min(engine.max_running, engine.max_step_tokens)
    blocks = np.sort(scenario.blocks_for(scenario.trace.prompt_tokens))
    fitting = int(np.sum(np.cumsum(blocks) <= engine.kv_blocks))
    return max(1, min(engine.max_running, engine.max_step_tokens, fitting))


def prices(table: Tables) -> list[Prices]:
    """Valid prices, from all on prompts to most on answers.

    For each: tokens_ps[P + D] + decodes_ps[D] >= P * prompt_ps + D * answer_ps for all
    counts that can occur, by taking the minimum over all of them.
    """
    tokens, decodes = np.arange(len(table.tokens_ps)), np.arange(len(table.decodes_ps))
    alone = (table.tokens_ps[: len(decodes)] + table.decodes_ps)[1:]
    highest = float(np.min(alone / decodes[1:]))
    prompt = tokens[:, None] - decodes
    per_prompt = np.where(prompt > 0, 1.0 / np.maximum(prompt, 1), np.nan)
    found = []
    for answer in (share * highest for share in ANSWER_SHARES):
        left = table.tokens_ps[:, None] + (table.decodes_ps - answer * decodes)
        lowest = float(np.nanmin(left * per_prompt))
        if lowest >= 0:
            found.append(Prices(lowest, answer))
    return found


def work(scenario: Scenario, table: Tables, price: Prices) -> Work:
    """Least work of every request at valid prices."""
    step, trace = scenario.step_time, scenario.trace
    prompt = trace.prompt_tokens.astype(np.float64)
    later = (trace.output_tokens - 1).astype(np.float64)
    each_ps = price.prompt_ps + step.prefill_token_ps
    prefill = each_ps * prompt + step.prefill_work_ps * prompt**2
    prefill += chunk_ps(step, prompt)
    context_ps = float(table.context_ps[1:].min())
    first = first_ps(step, table, prompt)
    answer = _answer_ps(prompt, later, each_ps, (price.answer_ps, context_ps))
    return Work(
        prefill / PS_PER_S,
        answer / PS_PER_S,
        first / PS_PER_S,
        later * np.minimum(token_ps(step, table, prompt), first) / PS_PER_S,
    )


def _answer_ps(
    prompt: Floats, later: Floats, prompt_ps: float, decode_ps: tuple[float, float]
) -> Floats:
    """Least machine time of all later tokens, each decoded or recomputed.

    With x tokens known before it, a token costs ``fixed + context * x`` to decode.
    After a preemption it comes from recomputing all x, which costs ``prompt_ps * x`` at
    least: the cheaper way up to some x, where prompts are tiny.
    """
    fixed_ps, context_ps = decode_ps
    steeper_ps = prompt_ps - context_ps
    cheap_until = fixed_ps / steeper_ps if steeper_ps > 0 else np.inf
    recomputed = np.clip(np.floor(cheap_until - prompt), 0, later)
    recomputed_x = _sum_of_known(prompt, recomputed)
    decoded_x = _sum_of_known(prompt, later) - recomputed_x
    decodes_ps = fixed_ps * (later - recomputed) + context_ps * decoded_x
    least_ps: Floats = prompt_ps * recomputed_x + decodes_ps
    return least_ps


def _sum_of_known(prompt: Floats, tokens: Floats) -> Floats:
    """Sum of prompt + j over j = 1 .. tokens."""
    return tokens * prompt + tokens * (tokens + 1) / 2


def first_ps(step: StepTime, table: Tables, prompt: Floats) -> Floats:
    """Least time that the steps of a whole prompt take, however it is chunked.

    A chunk of k tokens takes at least g(k), the cheapest step of k tokens or more, so
    a prompt takes at least its length times the least g(k) / k of chunks that fit.
    """
    least_decodes = float(table.decodes_ps.min())
    from_here = np.minimum.accumulate(table.tokens_ps[::-1])[::-1][1:] + least_decodes
    rate = np.minimum.accumulate(from_here / np.arange(1, len(table.tokens_ps)))
    longest = np.minimum(prompt.astype(np.int64), len(rate))
    token_ps: Floats = rate[longest - 1] + step.prefill_token_ps
    work_ps = step.prefill_work_ps * prompt**2
    return prompt * token_ps + work_ps + chunk_ps(step, prompt)


def chunk_ps(step: StepTime, prompt: Floats) -> Floats:
    """Least price of the chunks of a prompt: its last one reads all of it."""
    least_ps: Floats = step.prefill_ps + step.prefill_context_ps * prompt
    return least_ps


def token_ps(step: StepTime, table: Tables, prompt: Floats) -> Floats:
    """Least duration of a step that decodes a request, at its shortest context.

    Others may decode with it, so that its tokens may cost what they do at any mean.
    """
    shared = float(table.tokens_ps[1:].min() + table.decodes_ps[1:].min())
    per_context = float(table.context_ps[1:].min()) + step.longest_context_ps
    return shared + per_context * (prompt + 1)


def _table(entries: tuple[int, ...], last: int) -> Floats:
    known = np.array(entries[: last + 1], dtype=np.float64)
    beyond = [entry(entries, count) for count in range(len(known), last + 1)]
    return np.concatenate([known, np.array(beyond, dtype=np.float64)])
