"""Serve a run's scenarios again from the logs of decisions; every score must match."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adrs import secret
from adrs.archive import Archive
from adrs.decisions import LogError, unseal
from adrs.exams import Sitting, exams, sitting
from adrs.logs import Logs
from adrs.parallel import in_parallel
from adrs.pool import cores
from adrs.replaying import replay
from adrs.run_folder import CONFIG, CONTROL, JOURNAL, SECRET, begun_with
from adrs.settings import Settings
from adrs.terminal import note, say
from adrs.validation import VALIDATION, identity
from adrs.verdict import Contender, read
from evaluators.evaluation import Failure, Outcome
from evaluators.problem import Exam
from evaluators.problems import load

RUNS = Path("runs")


class Recorded(NamedTuple):
    """What a journal says of a policy on a scenario; None of what it leaves out."""

    scenario: str
    score: float
    metrics: Mapping[str, float] | None
    failure: Failure | None
    decisions: str

    @classmethod
    def of(cls, outcome: Outcome) -> "Recorded":
        """All that a trial's outcome says, apart from its feedback."""
        metrics = {name: float(value) for name, value in outcome.metrics.items()}
        facts = float(outcome.score), metrics, outcome.failure, outcome.decisions
        return cls(outcome.scenario, *facts)

    def is_said_by(self, outcome: Outcome) -> bool:
        """Whether an outcome is as recorded, to the last bit."""
        other = self.of(outcome)
        if self.metrics is not None and self.metrics != other.metrics:
            return False
        return (self.score, self.failure) == (other.score, other.failure)


class Task(NamedTuple):
    """One scenario of one policy: what was recorded of it, and the log it came with."""

    problem: str
    candidate: str
    recorded: Recorded
    log: bytes
    exam: Exam


def run(settings: Settings) -> int:
    """Print what does not match; 0 when all of it does and there is something."""
    folder = RUNS / settings.run
    begun = _begun(folder, settings)
    kept = secret.chosen(begun.secret, folder / SECRET)
    at = sitting(begun, RUNS / "capacities.json", kept)
    policies = Counter[str]()
    tasks = _counted(_tasks(folder, at, settings.candidate or ""), policies)
    workers = settings.workers or cores()
    lines = [line for line in in_parallel(_differs, tasks, workers) if line]
    for line in lines:
        say(line)
    if not policies:
        note(f"no trial of {settings.candidate or 'any candidate'} in {folder}")
        return 1
    n_tasks = policies.total()
    say(
        f"{n_tasks - len(lines)} of {n_tasks} scores of {len(policies)} policies "
        "are those of their logs"
    )
    return 1 if lines else 0


def _counted(tasks: Iterable[Task], policies: Counter[str]) -> Iterator[Task]:
    """The tasks one by one, as all their logs together may not fit into memory."""
    for task in tasks:
        policies[task.candidate] += 1
        yield task


def _begun(folder: Path, settings: Settings) -> Settings:
    """The settings that a run was begun with, its data where it is now."""
    try:
        kept = begun_with(folder)
    except FileNotFoundError:
        there = sorted(path.parent.name for path in RUNS.glob(f"*/{CONFIG}"))
        raise ValueError(
            f"no run {settings.run} under {RUNS.resolve()}; there are "
            f"{', '.join(there) or 'none'}"
        ) from None
    return Settings(kept | {"data": settings.data or kept.get("data")})


def _tasks(folder: Path, at: Sitting, wanted: str) -> Iterator[Task]:
    """All scores of policies whose id begins so: on train by both arms, then after."""
    train = exams(at, "train")
    here = identity(at, train)
    for journal in (JOURNAL, CONTROL):
        if not (folder / journal).exists():
            continue
        archive = Archive.read(folder / journal)
        _check(archive, "exams", "train", here)
        for row in archive.rows:
            if row.id.startswith(wanted):
                outcomes = archive.trial(row.id).evaluation.outcomes
                recorded = [Recorded.of(outcome) for outcome in outcomes]
                yield from _paired(at, row.id, recorded, archive.logs, train)
        yield from _validated(archive, at, wanted)


def _validated(archive: Archive, at: Sitting, wanted: str) -> Iterator[Task]:
    """The scores that the verdict of a journal rests on, if it has one."""
    logs = Logs(archive.path.with_name(VALIDATION))
    for facts in (e.facts for e in archive.events if e.kind == "verdict"):
        contenders = [c for c in read(facts).contenders if c.id.startswith(wanted)]
        sat = exams(at, "validation") if contenders else ()
        if sat:
            _check(archive, "verdict", "exams", identity(at, sat))
        for each in contenders:
            yield from _paired(at, each.id, _scores(each, sat), logs, sat)


def _check(archive: Archive, kind: str, fact: str, here: str) -> None:
    """Refuse to hold a run against exams that it did not sit."""
    begun = [event.facts[fact] for event in archive.events if event.kind == kind]
    if begun and begun[0] != here:
        raise ValueError(
            f"{archive.path} has other exams ({begun[0]}; now {here}): the data, a "
            "calibration or the code has changed since"
        )


def _scores(each: Contender, sat: Sequence[Exam]) -> list[Recorded]:
    decisions = each.decisions or ("",) * len(sat)
    rows = zip(sat, each.pick + each.report, decisions, strict=True)
    return [
        Recorded(exam.scenario.name, float(score), None, None, digest)
        for exam, score, digest in rows
    ]


def _paired(
    at: Sitting,
    id_: str,
    recorded: Sequence[Recorded],
    logs: Logs,
    sat: Sequence[Exam],
) -> Iterator[Task]:
    """What was recorded of a policy with its logs; a dropped one sat some exams."""
    try:
        found = logs.read(id_)
    except (OSError, ValueError):
        found = []
    found += [b""] * (len(recorded) - len(found))
    by_name = {exam.scenario.name: exam for exam in sat}
    for each, log in zip(recorded, found, strict=True):
        yield Task(at.problem.name, id_, each, log, by_name[each.scenario])


def _differs(task: Task) -> str | None:
    """What is wrong with what was recorded, None if it is that of its log."""
    recorded, where = task.recorded, f"{task.candidate} on {task.recorded.scenario}"
    if not task.log:
        return f"{where}: there is no log"
    try:
        decisions = unseal(task.log, recorded.decisions)
        outcome = replay(load(task.problem), decisions, task.exam)
    except LogError as error:
        return f"{where}: {error}"
    if recorded.is_said_by(outcome):
        return None
    return f"{where}: scored {recorded.score!r}, its log {outcome.score!r}"
