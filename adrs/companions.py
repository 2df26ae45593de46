"""The policies that accompany the judged one, by the names a configuration gives."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from adrs.resources import seeds
from evaluators.evaluation import PolicyError
from evaluators.load import load_policy
from evaluators.problems import load as load_problem


class Companion(NamedTuple):
    """A policy of another problem: what it was asked for as, and its text."""

    name: str
    source: str


def companions(named: Mapping[str, str | None], judged: str) -> dict[str, Companion]:
    """The policies of other problems than ``judged`` that are named, by problem.

    A name is that of a baseline or of a file; they run in process, so a file must be
    one's own. Raises ``ValueError`` or ``FileNotFoundError`` with one line.
    """
    found = {}
    for problem, name in named.items():
        if name is None:
            continue
        if problem == judged:
            raise ValueError(
                f"companions.{problem} is {name}, but {problem} is what is judged here;"
                " expected null"
            )
        found[problem] = Companion(name, _working(problem, name))
    return found


def policy_text(name: str, problem: str) -> str:
    """Text of a policy file, or of the baseline of that name.

    Raises ``FileNotFoundError`` when it is neither, and ``ValueError`` listing the
    problems when there is none of that name.
    """
    load_problem(problem)
    path = Path(name)
    if path.exists():
        return path.read_bytes().decode(errors="replace")
    known = seeds(problem)
    if name not in known:
        raise FileNotFoundError(
            f"no policy file {name}; the baselines of {problem} are {', '.join(known)}"
        )
    return known[name]


def _working(problem: str, name: str) -> str:
    """The text, which makes a policy of its problem."""
    try:
        source = policy_text(name, problem)
        load_policy(source, load_problem(problem).hooks)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"companions.{problem}: {error}") from None
    except PolicyError as error:
        raise ValueError(
            f"companions.{problem} is {name}, which is no policy of it: "
            f"{error.failure.message}"
        ) from None
    return source
