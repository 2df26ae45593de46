"""The policies that accompany the judged one, in process: they are ours."""

from evaluators import problems
from evaluators.load import load_policy
from evaluators.scenario import Scenario


def companion(scenario: Scenario, problem: str) -> object | None:
    """A fresh instance of the policy of that problem; None for the built-in rule."""
    text = scenario.companions.get(problem)
    if text is None:
        return None
    return load_policy(text, problems.load(problem).hooks)
