"""Whether policies decide alike when they are asked again, in other processes."""

from collections.abc import Sequence

from adrs.candidate import Trial
from adrs.pool import Pool
from evaluators.problem import Exam


def unsteady(
    pool: Pool, trials: Sequence[Trial], train: Sequence[Exam]
) -> dict[str, str]:
    """Which policies' logs differ from those of their trials: id to first scenario.

    A policy that reads a clock, an address or what another process left decides by
    what the engine never told it, so that its score is of no use.
    """
    sources = [trial.candidate.source for trial in trials]
    differing = {}
    for trial, again in zip(trials, pool.evaluate(sources, train), strict=True):
        for before, after in zip(
            trial.evaluation.outcomes, again.outcomes, strict=True
        ):
            if before.decisions and before.decisions != after.decisions:
                differing[trial.candidate.id] = before.scenario
                break
    return differing
