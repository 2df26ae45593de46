"""Evolve policies, beat the best baseline, and say by how much."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from adrs import hints, kernel_replay, llm, rerun, secret, summary
from adrs.archive import Archive
from adrs.asking import Outage
from adrs.board import Board
from adrs.budget import Budget, Limits
from adrs.campaign import Campaign, Observer, Search
from adrs.candidate import Candidate
from adrs.exams import Sitting, check, doubts, exams, sitting
from adrs.guard import Guarded
from adrs.interruption import INTERRUPTED, interruptible
from adrs.kernel_replay import KernelReplay
from adrs.llm import recorded
from adrs.llm.model import Model, ModelUnavailableError
from adrs.pool import Pool, cores
from adrs.progress import Progress
from adrs.records import Event, Header
from adrs.resources import seeds
from adrs.run_folder import (
    CONTROL,
    JOURNAL,
    REPLIES,
    SECRET,
    WINNER,
    RunFolder,
    claim,
)
from adrs.settings import Settings
from adrs.terminal import note, note_if_heard, say
from adrs.timings import Timings, elapsed_s
from adrs.validation import identity, validate
from adrs.variation.draft import number, take_apart
from adrs.verdict import Verdict
from adrs.watching import Trust, Watch
from evaluators import confine
from evaluators.problem import Exam, Problem

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Bench:
    """What both arms of a run share; ``observers`` are those of the evolved one."""

    settings: Settings
    folder: RunFolder
    at: Sitting
    train: tuple[Exam, ...]
    pool: Pool
    observers: tuple[Observer, ...]


class Means(NamedTuple):
    """What one arm searches with; ``ends`` as in ``Campaign``."""

    budget: Budget
    model: Model
    ends: Callable[[int], str | None]
    observers: tuple[Observer, ...] = ()


def run(settings: Settings) -> int:
    """Run, or go on with, one evolution; 0 when it came to its verdict."""
    _check_limits(settings.budget)
    folder = claim(RUNS, settings.plain(), settings.problem.name)
    header = Header(settings.problem.name, settings.seed, folder.search_digest)
    with interruptible(), Archive.open(folder.path / JOURNAL, header) as archive:
        note(_opening(folder, archive))
        try:
            return _evolve(settings, folder, archive)
        except KeyboardInterrupt:
            note_if_heard(f"interrupted; to go on: {hints.again(settings)}")
            return INTERRUPTED
        except ModelUnavailableError as error:
            note(f"error: {error}; nothing is lost, to go on: {hints.again(settings)}")
            return 1
        except (ValueError, OSError):
            if not archive.rows:  # refused: nobody sat an exam
                folder.discard()
            raise


def _evolve(settings: Settings, folder: RunFolder, archive: Archive) -> int:
    at, train = _prepared(settings, folder, archive)
    limits = confine.Limits(**settings.limits)
    workers = settings.workers or cores()
    with (
        Pool(at.problem.name, workers, settings.isolation, limits) as pool,
        _board(settings, folder, archive) as board,
    ):
        observers = () if board is None else (board.live,)
        bench = Bench(settings, folder, at, train, pool, observers)
        try:
            verdict = _verdict(bench, archive)
        except BaseException as error:
            is_refused = isinstance(error, ValueError | OSError) and not archive.rows
            if board is not None and not is_refused:
                board.stopped()
            raise
    winner = verdict.winner
    if winner is not None:
        source = archive.candidate(winner.id).source
        (folder.path / WINNER).write_text(source, encoding="utf-8")
    replay = _replayed(settings, at, archive, verdict)
    text = summary.summary(archive, verdict, replay)
    say(text)
    url = None if board is None else board.finished(verdict, replay)
    say(hints.after(settings, folder.path, url, won=winner is not None))
    if board is None or url is not None:
        folder.finish(text)
    return 0


def _board(
    settings: Settings, folder: RunFolder, archive: Archive
) -> AbstractContextManager[Board | None]:
    if not settings.tracking.enabled:
        return nullcontext()
    return Board(RUNS, folder, dict(settings.leaves()), archive)


def _replayed(
    settings: Settings, at: Sitting, archive: Archive, verdict: Verdict
) -> KernelReplay | None:
    way, calibration = settings.kernel_replay, settings.deployment.calibration
    if way != "off":
        note(f"kernels | steps of the winner and the best seed run on this {way}")
    return kernel_replay.replayed(way, at, archive, verdict, calibration)


def _check_limits(budget: Settings) -> None:
    if all(limit is None for limit in budget.values()):
        names = ", ".join(f"budget.{name}" for name in budget)
        raise ValueError(f"{names} are all null; expected a limit, or no run would end")


def _prepared(
    settings: Settings, folder: RunFolder, archive: Archive
) -> tuple[Sitting, tuple[Exam, ...]]:
    """Where policies are examined, the train exams; what cannot be had is told now."""
    kept = secret.chosen(settings.secret, folder.path / SECRET)
    at = sitting(settings, RUNS / "capacities.json", kept)
    check(at)
    kernel_replay.check(settings.kernel_replay, at, settings.deployment.calibration)
    train = exams(at, "train")
    hold_to(identity(at, train), secret.mark(kept), archive)
    for line in doubts(train):
        note(line)
    return at, train


def hold_to(train: str, mark: str, archive: Archive) -> None:
    """Journal the exams that are sat, or refuse others than the journal has.

    ``mark`` stands for the secret of those that are not drawn yet.
    """
    begun = [event for event in archive.events if event.kind == "exams"]
    if not begun:
        archive.append(Event("exams", 0, {"train": train, "secret": mark}))
    elif begun[0].facts["train"] != train:
        raise ValueError(
            f"{archive.path} was begun with other exams ({begun[0].facts['train']}; "
            f"now {train}): the data, a calibration or the code has changed since; "
            "bring it back, or name another run"
        )
    elif begun[0].facts.get("secret", secret.PUBLIC) != mark:
        raise ValueError(
            f"{archive.path} was begun with another secret; bring its file "
            f"{SECRET} back, or the one that secret= named, or name another run"
        )


def _verdict(bench: Bench, archive: Archive) -> Verdict:
    """Search, search again with the control arm, then validate; journaled at once."""
    _search(bench, archive)
    n_evaluated = sum(row.round > 0 for row in archive.rows)
    assert archive.header is not None
    with Archive.open(bench.folder.path / CONTROL, archive.header) as control:
        if n_evaluated:
            _search_control(bench, archive, control, n_evaluated)
        note("validate | the best of each arm sit exams that no search has seen")
        most = bench.settings.contenders
        progress = Progress(sys.stderr)
        arms = archive, control
        verdict = validate(
            bench.at, bench.pool, bench.train, arms, most, progress.write
        )
        progress.close()
    if not any(event.kind == "verdict" for event in archive.events):
        last = max(archive.index.slots) + 1
        archive.append(Event("verdict", last, verdict.facts()))
    return verdict


def _search(bench: Bench, archive: Archive) -> None:
    settings, journal = bench.settings, bench.folder.path / JOURNAL
    limits, ends = Limits(**settings.budget), None
    if settings.llm.provider == "recorded":
        replies = recorded.Replies(Path(settings.llm.path))
        ends = rerun.ending(replies, settings.search.slots, limits)
        limits = rerun.untimed(limits)
    budget = Budget(limits, elapsed_s=elapsed_s(journal))
    kept = bench.folder.path / REPLIES
    model = build_model(settings.llm, bench.at.problem, settings.seed)
    is_wary = kept.exists() and kept.stat().st_size > 0
    guarded = Guarded(model, settings.search.slots, is_wary=is_wary)
    recording = recorded.record(guarded, kept)
    sources = seeds(bench.at.problem.name)
    means = Means(budget, recording, ends or _never, bench.observers)
    _run_campaign("evolve", bench, archive, means, sources)


def _never(round: int) -> str | None:
    del round
    return None


def _search_control(
    bench: Bench, archive: Archive, control: Archive, n_evaluations: int
) -> None:
    """Tune the best of the seeds that have anything to tune, with as many evaluations.

    Nothing happens when none has.
    """
    planted = sorted(
        (row for row in archive.rows if row.round == 0), key=lambda row: -row.score
    )
    made = [archive.candidate(row.id) for row in planted]
    best = next((each for each in made if _is_tunable(each, bench.at.problem)), None)
    if best is None:
        return
    journal = bench.folder.path / CONTROL
    budget = Budget(Limits(evaluations=n_evaluations), elapsed_s=elapsed_s(journal))
    section = Settings({"provider": "offline", "operators": "tune"})
    model = build_model(section, bench.at.problem, bench.settings.seed)
    sources = {best.origin.removeprefix("seed "): best.source}
    _run_campaign("control", bench, control, Means(budget, model, _never), sources)


def _is_tunable(made: Candidate, problem: Problem) -> bool:
    """Whether it has a class attribute that is a number."""
    hooks = [hook.name for hook in problem.hooks]
    values = take_apart(made.source, hooks).attributes.values()
    return any(number(value) is not None for value in values)


def _run_campaign(
    stage: str,
    bench: Bench,
    archive: Archive,
    means: Means,
    sources: dict[str, str],
) -> None:
    budget, model, ends, observers = means
    progress = Progress(sys.stderr)
    search = dict(bench.settings.search)
    outage = Outage(give_up_s=search.pop("outage_s"))
    campaign = Campaign(
        problem=bench.at.problem,
        model=model,
        pool=bench.pool,
        exams=bench.train,
        archive=archive,
        budget=budget,
        search=Search(**search, outage=outage),
        observers=(
            Timings(archive.path, budget),
            Watch(stage, archive, budget, progress),
            Trust(outage),
            *observers,
        ),
        ends=ends,
    )
    try:
        reason = campaign.run(sources)
    finally:
        progress.close()
    note(f"{stage} | ended: {reason}, after {len(archive.rows)} trials")


def build_model(section: Settings, problem: Problem, seed: int) -> Model:
    """The model that ``conf/llm/<name>.yaml`` describes."""
    options = {key: value for key, value in section.items() if key != "provider"}
    return cast(Model, llm.load(section.provider).build(problem, seed, **options))


def _opening(folder: RunFolder, archive: Archive) -> str:
    if folder.is_resumed:
        return f"resuming run {folder.name} after {len(archive.rows)} trials"
    return f"run {folder.name}, kept in {folder.path}"
