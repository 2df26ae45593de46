"""An offline batch of questions about shared documents, as BatchLLM serves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.scenario import Half, Split
from evaluators.workloads.annotations import PREDICTION_ERROR, RELAXED
from evaluators.workloads.arrivals import AtOnce
from evaluators.workloads.generated import Contents, Generated, check_sizes
from evaluators.workloads.relations import Layers

BLOCK_TOKENS = 16
SPREAD = 0.5
"""Standard deviation of the logarithm of all lengths. Assumed."""


def build(
    questions: int = 8,
    document_tokens: int = 2000,
    question_tokens: int = 200,
    output_tokens: int = 100,
    prediction_error: float = PREDICTION_ERROR,
) -> Generated:
    """Each document with so many ``questions``, all mixed up, all there at time 0.

    All are relaxed; lengths are log-normal with these medians; blocks are 16 tokens.
    The rate of a draw says nothing: the load is the batch. Raises ``ValueError`` for a
    size below 1.
    """
    check_sizes(
        questions=questions,
        document_tokens=document_tokens,
        question_tokens=question_tokens,
        output_tokens=output_tokens,
    )
    source = Batch(questions, document_tokens, question_tokens, output_tokens)
    return Generated("documents", 1, prediction_error, AtOnce(), source)


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents by their questions; the last one may have fewer."""

    questions: int
    document_tokens: int
    question_tokens: int
    output_tokens: int

    def __call__(
        self,
        part: Split | Half,
        moments: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Contents:
        """Every question begins with its whole document."""
        n = len(moments)
        document = rng.permutation(n) // self.questions
        shared = _lengths(self.document_tokens, n, rng)[document]
        prompts = shared + _lengths(self.question_tokens, n, rng)
        layers = Layers(document, shared, prompts)
        outputs = _lengths(self.output_tokens, n, rng)
        prefixes = layers.prefixes(BLOCK_TOKENS)
        return Contents(prompts, outputs, prefixes, np.full(n, RELAXED))


def _lengths(median: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    drawn = np.rint(median * np.exp(SPREAD * rng.standard_normal(n)))
    return np.asarray(np.maximum(1, drawn).astype(np.int64))
