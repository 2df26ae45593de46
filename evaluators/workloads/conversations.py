"""Reader of turn lengths of conversations: closed loops of people who think."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.prefixes import Ints
from evaluators.workloads.recorded import Stamp, lines, stamp
from evaluators.workloads.replay import SPLIT_SPANS, find
from evaluators.workloads.sessions import ClosedLoop, Part, Session, seconds_ps

BLOCK_TOKENS = 16
THINK_SIGMA = 1.0
"""Deviation of the logarithm of think times. Assumed, as their median is: the files
have lengths only."""


def build(
    trace: str = "sharegpt_v3",
    data: str | None = None,
    most_tokens: int = 16384,
    think_s: float = 30.0,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> ClosedLoop:
    """The conversations of a file; ``data`` is it, or the folder it is in.

    A line is a JSON object with ``roles``, a letter a turn (g: the model), and the
    ``tokens`` of each. A request is a turn of the model, its prompt all turns before. A
    conversation ends before it needs more than ``most_tokens``; people think for
    ``think_s`` in the median. Raises ``FileNotFoundError`` when the file is missing.
    """
    if not 0 <= think_s < float("inf"):
        raise ValueError(f"think_s is {think_s}; expected 0 or above")
    files = (f"{trace}.jsonl", f"{trace}_turn_token_lengths.jsonl")
    path = find(trace, files, data)
    shares = tuple(zipf_shares(tenants).tolist())
    source = Conversations(path, most_tokens, think_s, shares)
    return ClosedLoop(trace, tenants, prediction_error, BLOCK_TOKENS, source)


@dataclass(frozen=True, slots=True)
class Conversations:
    """Conversations of a file, in an order that the seed chooses."""

    path: Path
    most_tokens: int
    think_s: float
    shares: tuple[float, ...]

    def __call__(self, part: Part, rng: np.random.Generator) -> Iterator[Session]:
        """Sessions of a part, which is dealt by the file's order."""
        found = read(self.path)
        low, high = (0.0, 1.0) if part == "whole" else SPLIT_SPANS[part]
        chosen = np.arange(round(low * len(found)), round(high * len(found)))
        base = 0
        for index in rng.permutation(chosen).tolist():
            prompts, outputs = found[index]
            n = int(np.sum(prompts + outputs <= self.most_tokens))
            if n:
                yield self._session(base, prompts[:n], outputs[:n], rng)
                base += int(prompts[n - 1] + outputs[n - 1]) // BLOCK_TOKENS + 1

    def _session(
        self, base: int, prompts: Ints, outputs: Ints, rng: np.random.Generator
    ) -> Session:
        n = len(prompts)
        waits = self.think_s * np.exp(THINK_SIGMA * rng.standard_normal(n))
        waits[0] = 0.0
        # A chain goes on through the output that the next request begins with.
        covered = prompts + np.append(outputs[:-1], 0)
        ids = base + np.arange(int(covered.max()) // BLOCK_TOKENS)
        return Session(
            int(rng.choice(len(self.shares), p=self.shares)),
            prompts,
            outputs,
            np.arange(n) - 1,
            seconds_ps(waits.tolist()),
            np.zeros(n, dtype=np.int64),
            tuple(ids[:blocks] for blocks in (covered // BLOCK_TOKENS).tolist()),
        )


def read(path: Path) -> tuple[tuple[Ints, Ints], ...]:
    """Prompts and outputs of each conversation; parsed once while unchanged.

    Turns of the model that nothing precedes are part of the prompts to come, and those
    without a token are none. Raises ``ValueError`` naming the row that cannot be used.
    """
    return _parsed(stamp(path))


@lru_cache(maxsize=2)
def _parsed(file: Stamp) -> tuple[tuple[Ints, Ints], ...]:
    found = []
    for number, line in enumerate(lines(file.path), 1):
        try:
            record = json.loads(line)
            turns = list(zip(record["roles"], map(int, record["tokens"]), strict=True))
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                f"{file.path} row {number}: {line[:60]!r}; expected roles, and tokens "
                "for each"
            ) from None
        found.append(_requests(turns))
    return tuple(found)


def _requests(turns: list[tuple[str, int]]) -> tuple[Ints, Ints]:
    context, prompts, outputs = 0, [], []
    for role, tokens in turns:
        if role == "g" and context > 0 and tokens > 0:
            prompts.append(context)
            outputs.append(tokens)
        context += tokens
    return np.array(prompts, dtype=np.int64), np.array(outputs, dtype=np.int64)
