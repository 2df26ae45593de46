"""What no line may say of an endpoint: its key, and what its address carries of one."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

LEAST_LETTERS = 4
"""Shorter ones, as "none" or "api", hide nothing and stand in honest words."""


class Hidden:
    """Takes keys and what is secret in an address out of texts."""

    def __init__(self, url: str, keys: Iterable[str]) -> None:
        self.address = bare(url)
        held = {url: self.address, urlsplit(url).query: "[query]"}
        held |= dict.fromkeys([*keys, *_carried(url)], "[key]")
        longest_first = sorted(held.items(), key=lambda pair: -len(pair[0]))
        self._held = [(a, b) for a, b in longest_first if len(a) > LEAST_LETTERS]

    def out_of(self, text: str) -> str:
        """The text without them."""
        for secret, instead in self._held:
            text = text.replace(secret, instead)
        return text


def bare(url: str) -> str:
    """The address without user, password, query and fragment."""
    if "://" not in url:  # where a word before the host would pass as a scheme
        return re.split(r"[?#]", url.rpartition("@")[2])[0]
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _carried(url: str) -> list[str]:
    """What of an address may be secret, as it is written and as it is meant."""
    parts = urlsplit(url)
    user, _, _ = parts.netloc.rpartition("@")
    found = [user, *user.split(":", 1), *(v for _, v in parse_qsl(parts.query))]
    return [*found, *map(unquote, found)]
