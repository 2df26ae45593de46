"""Serve a run's scenarios again from the logs of decisions; every score must match."""

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from adrs import secret
from adrs.archive import Archive
from adrs.candidate import Trial
from adrs.decisions import LogError, unseal
from adrs.exams import exams, sitting
from adrs.pool import cores, in_parallel
from adrs.replaying import replay
from adrs.run_folder import CONFIG, CONTROL, JOURNAL, SECRET
from adrs.settings import Settings
from adrs.terminal import note, say
from adrs.validation import identity
from evaluators.evaluation import Outcome
from evaluators.problem import Exam
from evaluators.problems import load

RUNS = Path("runs")


class Task(NamedTuple):
    """One scenario of one trial: what was recorded of it, and the log it came with."""

    problem: str
    candidate: str
    outcome: Outcome
    log: bytes
    exam: Exam


def run(settings: Settings) -> int:
    """Print what does not match; 0 when all of it does and there is something."""
    folder = RUNS / settings.run
    begun = _begun(folder, settings)
    at = sitting(
        begun, RUNS / "capacities.json", secret.chosen(begun.secret, folder / SECRET)
    )
    train = exams(at, "train")
    workers = settings.workers or cores()
    wrong = n_trials = n_scenarios = 0
    for journal in (JOURNAL, CONTROL):
        if not (folder / journal).exists():
            continue
        archive = Archive.read(folder / journal)
        _check_exams(archive, identity(at, train))
        trials = _wanted(archive, settings.candidate)
        tasks = [task for trial in trials for task in _tasks(archive, trial, train)]
        for line in in_parallel(_differs, tasks, workers):
            if line is not None:
                wrong += 1
                say(line)
        n_trials += len(trials)
        n_scenarios += len(tasks)
    if not n_trials:
        note(f"no trial of {settings.candidate or 'any candidate'} in {folder}")
        return 1
    say(
        f"{n_scenarios - wrong} of {n_scenarios} scores of {n_trials} trials are those "
        "of their logs"
    )
    return 1 if wrong else 0


def _begun(folder: Path, settings: Settings) -> Settings:
    """The settings that a run was begun with, its data where it is now."""
    try:
        kept = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = sorted(path.parent.name for path in RUNS.glob(f"*/{CONFIG}"))
        raise ValueError(
            f"no run {settings.run} under {RUNS.resolve()}; there are "
            f"{', '.join(there) or 'none'}"
        ) from None
    except ValueError:
        raise ValueError(f"{folder / CONFIG} is broken") from None
    return Settings(kept | {"data": settings.data or kept.get("data")})


def _check_exams(archive: Archive, here: str) -> None:
    """Refuse to hold a run against exams that it did not sit."""
    begun = [event for event in archive.events if event.kind == "exams"]
    if begun and begun[0].facts["train"] != here:
        raise ValueError(
            f"{archive.path} was begun with other exams ({begun[0].facts['train']}; "
            f"now {here}): the data, a calibration or the code has changed since"
        )


def _wanted(archive: Archive, candidate: str | None) -> list[Trial]:
    return [
        archive.trial(row.id)
        for row in archive.rows
        if candidate is None or row.id.startswith(candidate)
    ]


def _tasks(archive: Archive, trial: Trial, train: Sequence[Exam]) -> Iterator[Task]:
    """The scenarios that a trial sat; of a dropped one these are not all."""
    id_, outcomes = trial.candidate.id, trial.evaluation.outcomes
    assert archive.header is not None
    problem = load(archive.header.problem).name
    try:
        logs = archive.logs.read(id_)
    except (OSError, ValueError):
        logs = []
    by_name = {exam.scenario.name: exam for exam in train}
    for outcome, log in zip_longest(outcomes, logs[: len(outcomes)], fillvalue=b""):
        assert isinstance(outcome, Outcome)
        yield Task(problem, id_, outcome, bytes(log), by_name[outcome.scenario])


def _differs(task: Task) -> str | None:
    """What is wrong with a recorded outcome, None if it is that of its log."""
    recorded, where = task.outcome, f"{task.candidate} on {task.outcome.scenario}"
    if not task.log:
        return f"{where}: there is no log"
    try:
        decisions = unseal(task.log, recorded.decisions)
        outcome = replay(load(task.problem), decisions, task.exam)
    except LogError as error:
        return f"{where}: {error}"
    if _said(outcome) == _said(recorded):
        return None
    return f"{where}: scored {recorded.score!r}, its log {outcome.score!r}"


def _said(outcome: Outcome) -> tuple[object, ...]:
    """What a record says of an outcome, apart from the log itself."""
    metrics = {name: float(value) for name, value in outcome.metrics.items()}
    return outcome.scenario, float(outcome.score), metrics, outcome.failure
