"""What a value that was typed must be: of the kind of its default, and in its range."""

import math

from adrs.nulls import kind_of_null

MISSING = "???"
"""Default of what has to be named."""

LEAST = {
    "workers": 1,
    "contenders": 1,
    "tp": 1,
    "budget.evaluations": 0,
    "budget.tokens": 0,
    "budget.usd": 0,
    "budget.seconds": 0,
    "search.slots": 1,
    "search.lag": 0,
    "search.inspirations": 0,
    "search.patience": 1,
    "search.outage_s": 0,
}
ABOVE_0 = ("problem.regimes",)
"""Lists of finite numbers above 0, one at least."""

ONE_OF = {"format": ("text", "json")}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}
_KINDS |= {str: "text", list: "a list"}


class SettingsError(Exception):
    """What was typed is no configuration; the message says what would be."""


def fitting(default: object, key: str, value: object, text: str) -> object:
    """The value of a key, if it is of the kind of ``default`` and in range.

    ``text`` is how it was typed. None fits where that is the default, or known to mean
    that there is none. Raises ``SettingsError``.
    """
    is_open = default is None or (isinstance(default, str) and "${" in default)
    known = kind_of_null(key)
    kind = known if is_open else type(default)
    if value is None and (is_open or known is not None):
        return None
    if kind is None:
        return value
    if kind is float and type(value) is int:
        value = float(value)
    if kind is str and type(value) in (int, float):
        return text
    if type(value) is not kind or value != value:
        example = "null" if is_open or default == MISSING else repr(default)
        got = "null" if value is None else repr(value)
        raise SettingsError(
            f"{key} is {got}; expected {_KINDS[kind]}, such as {example}"
        )
    _check_range(key, value)
    return value


def _check_range(key: str, value: object) -> None:
    if isinstance(value, int | float) and value < LEAST.get(key, value):
        raise SettingsError(f"{key} is {value}; expected at least {LEAST[key]}")
    if key in ABOVE_0 and not _are_above_0(value):
        raise SettingsError(f"{key} is {value}; expected finite numbers above 0")
    if value not in ONE_OF.get(key, (value,)):
        known = " or ".join(ONE_OF[key])
        raise SettingsError(f"{key} is {value!r}; expected {known}")


def _are_above_0(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(type(each) in (int, float) and 1e-9 < each < math.inf for each in value)
    )
