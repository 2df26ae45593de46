"""What every problem does with a policy: serve, check the laws, score."""

from collections.abc import Callable

from evaluators.evaluation import Outcome, PolicyError
from evaluators.scenario import Scenario
from evaluators.sim.laws import check
from evaluators.sim.run import Run


def judge(
    scenario: Scenario, serve: Callable[[], Run], score: Callable[[Run], Outcome]
) -> Outcome:
    """Outcome of what ``serve`` does; a policy's fault is a failure that scores 0.

    Raises ``LawBrokenError`` when the run breaks a law: our bug.
    """
    try:
        run = serve()
    except PolicyError as error:
        failure = error.failure
        text = f"Failed ({failure.kind}): {failure.message}"
        return Outcome(scenario.name, scenario.regime, 0.0, {}, text, failure)
    check(scenario, run)
    return score(run)
