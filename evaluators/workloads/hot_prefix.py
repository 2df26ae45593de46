"""Prefix skew: one hot system prompt, and documents of falling popularity."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.scenario import Half, Split
from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.arrivals import POISSON
from evaluators.workloads.generated import (
    Contents,
    Generated,
    check_shares,
    check_sizes,
)
from evaluators.workloads.lengths import CONVERSATION
from evaluators.workloads.relations import Layers

BLOCK_TOKENS = 16
POPULARITY_EXPONENT = 0.8
"""Skew of the uses of RAGPulse's passages over their first 1,000 ranks."""


def build(  # noqa: PLR0913 (one keyword a configuration key)
    share: float = 0.6,
    prefix_tokens: int = 2048,
    documents: int = 200,
    document_tokens: int = 2048,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
    name: str = "hot_prefix",
) -> Generated:
    """A ``share`` of requests begin with the same prompt, the others with a document.

    Documents are chosen by Zipf's law. What follows is a question of its own, as long
    as the prompts of Azure's conversations; arrivals are Poisson, blocks 16 tokens.
    Exams and pictures are called by ``name``. Raises ``ValueError`` for a value that
    cannot be.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name):
        raise ValueError(
            f"workload.name is {name!r}; expected letters, digits, _, - and dots, as "
            "files are called by it"
        )
    check_shares(share=share)
    check_sizes(
        prefix_tokens=prefix_tokens,
        documents=documents,
        document_tokens=document_tokens,
    )
    zipf_shares(tenants)
    source = HotPrefix(share, prefix_tokens, documents, document_tokens)
    return Generated(name, tenants, prediction_error, POISSON, source, "hot_prefix")


@dataclass(frozen=True, slots=True)
class HotPrefix:
    """Prompts of a shared beginning and a question of their own."""

    share: float
    prefix_tokens: int
    documents: int
    document_tokens: int

    def __call__(
        self,
        part: Split | Half,
        moments: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Contents:
        """Group 0 is the hot prompt, the others are documents."""
        n = len(moments)
        weights = np.arange(1, self.documents + 1) ** -POPULARITY_EXPONENT
        document = 1 + rng.choice(self.documents, n, p=weights / weights.sum())
        group = np.where(rng.random(n) < self.share, 0, document)
        shared = np.where(group == 0, self.prefix_tokens, self.document_tokens)
        uniforms = rng.random((2, n))
        prompts = shared + CONVERSATION.prompt.draw(uniforms[0])
        layers = Layers(group, shared, prompts)
        outputs = CONVERSATION.output.draw(uniforms[1])
        return Contents(prompts, outputs, layers.prefixes(BLOCK_TOKENS))
