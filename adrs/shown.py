"""A campaign as it is shown, and its entries; plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One child run: a baseline or an elite.

    ``tags`` say where it comes from, among them what ``exams`` it sat; ``metrics`` are
    numbers with their unit in the name, among them ``validation``; ``files`` map a name
    to its text.
    """

    candidate_id: str
    name: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign as it is shown.

    ``campaign_id`` names it for ever: reporting it twice changes nothing. ``curve``
    maps a metric to its value at a step. ``winner`` is the candidate id of one of the
    entries, None for a campaign that was stopped before it had one, or is under way.
    """

    problem: str
    campaign_id: str
    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    curve: Mapping[str, Mapping[int, float]]
    entries: tuple[Entry, ...]
    files: tuple[Path, ...]
    winner: str | None
    note: str
