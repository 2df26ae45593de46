"""Coding agents: contexts that grow over tool calls, on one prefix for each user."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.generated import check_shares, check_sizes
from evaluators.workloads.prefixes import Ints
from evaluators.workloads.sessions import ClosedLoop, Part, Session, seconds_ps

BLOCK_TOKENS = 16
WHOLE_REQUESTS = 2_000
"""In ``whole``: contexts are long."""

PREFIX_TOKENS = 13_100
"""Tools and system prompt, the same in all sessions of a user: 10.5k + 2.6k tokens, the
medians that kv-cache-tester states."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Positive numbers by their median and the deviation of their logarithm."""

    median: float
    sigma: float

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Shape (n,)."""
        return np.asarray(self.median * np.exp(self.sigma * rng.standard_normal(n)))


# Fitted here to the median and the middle half (growth, waits: the 90th percentile too)
# of the 692 sessions of kv-cache-tester. Its third of sessions that go on from an
# earlier one, and begin with 100k tokens and more, is left out of OPENING.
OPENING = LogNormal(24_300, 0.35)
REQUESTS_SIGMA = 1.19
GROWTH = LogNormal(360, 1.8)
OUTPUT = LogNormal(217, 0.9)
TOOL_WAIT_S = LogNormal(9, 1.3)
THINK_S = LogNormal(122, 1.7)
TOOL_SHARE = 0.86
"""Of the waits of the recorded sessions, 86 % are for tools."""

MOST_WAIT_S = 3600.0
"""Longer waits are cut: by then no cache remembers."""


def build(
    most_tokens: int = 65536,
    requests: float = 44.0,
    tool_share: float = TOOL_SHARE,
    prefix_tokens: int = PREFIX_TOKENS,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> ClosedLoop:
    """Sessions of ``tenants`` users, each with a prefix of its own.

    A session has ``requests`` in the median, and ends before it needs more than
    ``most_tokens`` of context. A ``tool_share`` of waits is for tools, else a
    person thinks. Raises ``ValueError`` for a value that cannot be.
    """
    check_shares(tool_share=tool_share)
    check_sizes(requests=requests, prefix_tokens=prefix_tokens)
    if most_tokens < 2 * prefix_tokens:
        raise ValueError(
            f"most_tokens is {most_tokens}; expected at least twice prefix_tokens, "
            f"{prefix_tokens}"
        )
    shares = tuple(zipf_shares(tenants).tolist())
    source = Agents(most_tokens, requests, tool_share, prefix_tokens, shares)
    return ClosedLoop("agents", tenants, prediction_error, BLOCK_TOKENS, source)


@dataclass(frozen=True, slots=True)
class Agents:
    """Endless new sessions; "whole" has 2,000 requests."""

    most_tokens: int
    requests: float
    tool_share: float
    prefix_tokens: int
    shares: tuple[float, ...]

    def __call__(self, part: Part, rng: np.random.Generator) -> Iterator[Session]:
        """Sessions in the order in which they start."""
        left = WHOLE_REQUESTS if part == "whole" else 1 << 62
        base = len(self.shares) * (self.prefix_tokens // BLOCK_TOKENS)
        while left > 0:
            session = self._session(base, rng)
            yield session.first(left)
            left -= len(session.after)
            base += max(map(len, session.chains))

    def _session(self, base: int, rng: np.random.Generator) -> Session:
        tenant = int(rng.choice(len(self.shares), p=self.shares))
        sizes = LogNormal(self.requests, REQUESTS_SIGMA).draw(1, rng)
        prompts, outputs = self._lengths(max(1, round(float(sizes[0]))), rng)
        n = len(prompts)
        is_tool = rng.random(n) < self.tool_share
        waits = np.where(is_tool, TOOL_WAIT_S.draw(n, rng), THINK_S.draw(n, rng))
        waits, is_tool[0] = np.minimum(waits, MOST_WAIT_S), False
        waits[0] = 0.0
        # A chain goes on through the output that the next request begins with.
        covered = prompts + np.append(outputs[:-1], 0)
        n_shared = self.prefix_tokens // BLOCK_TOKENS
        shared = tenant * n_shared + np.arange(n_shared)
        own = base + np.arange(int(covered.max()) // BLOCK_TOKENS - n_shared)
        ids = np.concatenate((shared, own))
        return Session(
            tenant,
            prompts,
            outputs,
            np.arange(n) - 1,
            seconds_ps(waits.tolist()),
            is_tool.astype(np.int64),
            tuple(ids[:blocks] for blocks in (covered // BLOCK_TOKENS).tolist()),
        )

    def _lengths(self, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Prompts and outputs of up to n requests, as many as the context holds."""
        outputs = np.maximum(1, np.rint(OUTPUT.draw(n, rng))).astype(np.int64)
        growth = np.maximum(1, np.rint(GROWTH.draw(n, rng))).astype(np.int64)
        least = self.prefix_tokens + 1
        opening = np.clip(OPENING.draw(1, rng), least, self.most_tokens // 2)
        growth[0] = round(float(opening[0]))
        outputs = np.minimum(outputs, self.most_tokens // 2 - 1)
        prompts = np.cumsum(growth) + np.cumsum(outputs) - outputs
        fits = prompts + outputs <= self.most_tokens
        n_fitting = n if fits.all() else int(np.argmin(fits))
        return prompts[:n_fitting], outputs[:n_fitting]
