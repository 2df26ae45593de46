"""Which requests sent the same prompt, where only the lengths of prompts tell."""

import numpy as np

from evaluators.workloads.prefixes import Ints, Prefixes
from evaluators.workloads.relations import dense

LONGEST = 1000
AGREEING = 0.9
"""A load generator that goes round its prompts repeats their lengths; requests that
were sent within a millisecond of each other may have changed places."""


def period(prompt_tokens: Ints) -> int | None:
    """After how many requests the prompts begin again; None where they do not.

    A length of 0 is unknown. The shortest period at which nine in ten of the known
    lengths repeat. Equal lengths throughout tell nothing: None.
    """
    n = len(prompt_tokens)
    for lag in range(2, min(LONGEST, n // 3) + 1):
        one, other = prompt_tokens[lag:], prompt_tokens[:-lag]
        known = (one > 0) & (other > 0)
        if known.sum() < max(n // 20, 20):
            continue
        if np.mean(one[known] == other[known]) >= AGREEING:
            return None if _are_alike(prompt_tokens) else lag
    return None


def prompt_of(prompt_tokens: Ints, lag: int) -> Ints:
    """Which of the ``lag`` prompts each request sent, shape (n,).

    A request whose length is that of a prompt next to its turn sent that one.
    """
    turns = np.arange(len(prompt_tokens)) % lag
    usual = usual_tokens(prompt_tokens, lag)
    found = turns.copy()
    unclear = (usual[turns] != prompt_tokens) & (prompt_tokens > 0)
    for step in (1, -1, 2, -2):
        other = (turns + step) % lag
        fits = unclear & (usual[other] == prompt_tokens)
        found[fits] = other[fits]
        unclear &= ~fits
    return found


def usual_tokens(prompt_tokens: Ints, lag: int) -> Ints:
    """Length of each of the ``lag`` prompts: the one that most requests had."""
    usual = np.zeros(lag, dtype=np.int64)
    for turn in range(lag):
        lengths = prompt_tokens[turn::lag]
        known = lengths[lengths > 0]
        usual[turn] = np.bincount(known).argmax() if known.size else 0
    known = usual[usual > 0]
    return np.where(usual > 0, usual, int(np.median(known)) if known.size else 1)


def repeated(prompt: Ints, prompt_tokens: Ints, block_tokens: int) -> Prefixes:
    """Chains in which requests of the same prompt share every full block."""
    blocks = prompt_tokens // block_tokens
    ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(blocks)))
    place = np.arange(ends[-1]) - np.repeat(ends[:-1], blocks)
    ids = np.repeat(prompt, blocks) * int(blocks.max(initial=0)) + place
    return Prefixes(block_tokens, ends, dense(ids))


def _are_alike(prompt_tokens: Ints) -> bool:
    known = prompt_tokens[prompt_tokens > 0]
    return len(np.unique(known)) < 2
