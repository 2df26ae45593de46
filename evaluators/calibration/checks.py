"""What the JSON of a calibration may hold; each check names what is wrong."""

import json
from typing import Any, cast

MOST = 10**15
"""Beyond it no sum of a step fits 64 bits."""


def loaded(text: str) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """The JSON value; ``ValueError`` for what is none, or nested beyond reason."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply to be read") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ``ValueError`` for a key that is there twice."""
    keys = [key for key, _ in pairs]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"keys that are there twice: {', '.join(twice)}")
    return dict(pairs)


def checked_keys(data: object, keys: set[str], where: str) -> dict[str, Any]:
    """The object, of exactly these keys; raises ``ValueError`` naming what is not."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {type(data).__name__}; expected an object")
    found = cast("dict[str, Any]", data)
    for what, wrong in (
        ("unknown", found.keys() - keys),
        ("missing", keys - found.keys()),
    ):
        if wrong:
            raise ValueError(f"{what} keys in {where}: {', '.join(sorted(wrong))}")
    return found


def one_of(value: object, known: dict[str, Any], what: str) -> str:
    """The value, a known name; raises ``ValueError`` listing those there are."""
    if not isinstance(value, str) or value not in known:
        there = ", ".join(sorted(known))
        raise ValueError(f"{what} {value!r} is not known; there are {there}")
    return value


def whole(value: object, name: str, least: int = 1) -> int:
    """The value, a whole number of at least ``least``; else ``ValueError``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}; expected an integer, {least} or more")
    if value > MOST:
        raise ValueError(f"{name} is {value:.3g}; expected at most {MOST:.0e}")
    return value


def share(value: object, name: str) -> float:
    """The value, a number from 0 to below 1; else ``ValueError``."""
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}; expected a number from 0 to below 1")
    return float(value)


def words(value: object, name: str) -> Any:  # noqa: ANN401 (a string, or one of Status)
    """The value, a string that is not empty; else ``ValueError``."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}; expected words")
    return value


def listed(value: object, name: str) -> list[Any]:
    """The value, a list; else ``ValueError``."""
    if not isinstance(value, list):
        raise ValueError(f"{name} is {value!r}; expected a list")
    return value
