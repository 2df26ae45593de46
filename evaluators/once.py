"""What is found once of each scenario, and kept as long as the scenario is."""

import functools
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from evaluators.scenario import Scenario

Found = TypeVar("Found")


def once_a_scenario(find: Callable[[Scenario], Found]) -> Callable[[Scenario], Found]:
    """Have ``find`` run once a scenario; what it returns must not be changed.

    A scenario never changes, and is another one when it is made again.
    """
    kept: WeakKeyDictionary[Scenario, Found] = WeakKeyDictionary()

    @functools.wraps(find)
    def kept_or_found(scenario: Scenario) -> Found:
        found = kept.get(scenario)
        if found is None:
            found = kept[scenario] = find(scenario)
        return found

    return kept_or_found
