"""Clairvoyant upper bounds of the mean utility: what no policy can exceed."""

from evaluators.scenario import Scenario


def utility_bound(scenario: Scenario) -> float:
    """Upper bound of the mean utility of a scenario."""
    return 1.0
