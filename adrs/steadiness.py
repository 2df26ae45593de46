"""Whether policies decide alike when they are asked again, in other processes."""

from collections.abc import Sequence

from adrs.candidate import Trial
from adrs.pool import Pool
from evaluators.evaluation import Evaluation
from evaluators.problem import Exam


def unsteady(
    pool: Pool, trials: Sequence[Trial], train: Sequence[Exam]
) -> tuple[str, ...]:
    """Ids of the policies whose logs differ from those of their trials.

    A policy that reads a clock, an address or what another process left decides by
    what the engine never told it, so that its score is of no use.
    """
    sources = [trial.candidate.source for trial in trials]
    pairs = zip(trials, pool.evaluate(sources, train), strict=True)
    return tuple(
        trial.candidate.id
        for trial, again in pairs
        if _said(trial.evaluation) != _said(again)
    )


def _said(evaluation: Evaluation) -> list[str]:
    return [outcome.decisions for outcome in evaluation.outcomes]
