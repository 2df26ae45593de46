"""What the journal holds: one record a line, as text that never depends on the run.

Keys are sorted and floats are written by ``repr``, so that equal records are equal
bytes. No record holds a clock, a process number or a host.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from adrs.candidate import Candidate, Trial
from evaluators.evaluation import Dropped, Evaluation, Failure, Outcome

Reason = Literal[
    "duplicate",  # the same normalised source was proposed before
    "edit",  # the reply could not be applied to the parent
    "source",  # the result is not a policy: it does not parse or has no hook
    "model",  # the model gave no usable answer
]

EventKind = Literal["exams", "stop", "verdict", "kernels", "resume", "pause"]
"""The last two depend on the clock and are not journaled, the others are. ``kernels``
are times that a device took: the only facts that another run need not repeat."""


@dataclass(frozen=True, slots=True)
class Header:
    """First line of a journal: which run it is; ``config`` is a digest.

    It says nothing of the model, so that recorded replies give the same journal.
    """

    problem: str
    seed: int
    config: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A slot of a round that got a new candidate, and what asking for it cost."""

    round: int
    slot: int
    candidate: Candidate
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A slot of a round that got none; ``message`` is at most 200 characters."""

    round: int
    slot: int
    reason: Reason
    message: str
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something else that happened at the start of ``round``."""

    kind: EventKind
    round: int
    facts: Mapping[str, Any]


Record = Header | Proposed | Rejected | Trial | Event


def encode(record: Record) -> bytes:
    """The record's line, newline included."""
    return (json.dumps(_plain(record), sort_keys=True) + "\n").encode("ascii")


def decode_trial(data: Mapping[str, Any], made: Candidate) -> Trial:
    """The trial of a parsed line; ``made`` is the candidate that the line names."""
    outcomes = tuple(map(_outcome, data["outcomes"]))
    evaluation = Evaluation(outcomes, data["isolation"], dropped(data))
    return Trial(data["round"], data["slot"], made, evaluation)


def dropped(data: Mapping[str, Any]) -> Dropped | None:
    """Why a trial's policy was dropped, of its parsed line; None if it was not."""
    if "dropped" not in data:
        return None
    rung, interval = data["dropped"]
    return Dropped(rung, tuple(interval))


def decode(data: Mapping[str, Any]) -> Header | Proposed | Rejected | Event:
    """The record of a parsed line that is no trial; ``KeyError`` if broken."""
    fields = {key: value for key, value in data.items() if key != "record"}
    match data["record"]:
        case "header":
            return Header(**fields)
        case "proposed":
            made = dict(fields.pop("candidate"))
            made["parents"] = tuple(made["parents"])
            return Proposed(candidate=Candidate(**made), **fields)
        case "rejected":
            return Rejected(**fields)
        case "event":
            return Event(**fields)
        case unknown:
            raise KeyError(f"record {unknown!r}")


def _plain(record: Record) -> dict[str, Any]:
    if isinstance(record, Trial):
        early = record.evaluation.dropped
        return {
            "record": "trial",
            "round": record.round,
            "slot": record.slot,
            "candidate": record.candidate.id,
            "isolation": record.evaluation.isolation,
            "outcomes": [_plain_outcome(o) for o in record.evaluation.outcomes],
            **({"dropped": [early.rung, list(early.interval)]} if early else {}),
        }
    return {"record": type(record).__name__.lower(), **asdict(record)}


def _plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """Plain floats throughout: numpy's would not survive the journal."""
    plain: dict[str, Any] = {
        "scenario": outcome.scenario,
        "regime": float(outcome.regime),
        "score": float(outcome.score),
        "metrics": {k: float(v) for k, v in outcome.metrics.items()},
    }
    if outcome.feedback:
        plain["feedback"] = outcome.feedback
    if outcome.decisions:
        plain["decisions"] = outcome.decisions
    if outcome.failure:
        plain["failure"] = [outcome.failure.kind, outcome.failure.message]
    return plain


def _outcome(data: Mapping[str, Any]) -> Outcome:
    return Outcome(
        data["scenario"],
        data["regime"],
        data["score"],
        data["metrics"],
        data.get("feedback", ""),
        Failure(*data["failure"]) if "failure" in data else None,
        data.get("decisions", ""),
    )
