"""Judge one policy file on a split, isolated, scenario by scenario."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from adrs import sandbox, secret, timeline
from adrs.candidate import candidate, parse
from adrs.companions import policy_text
from adrs.exams import SPLITS, doubts, exams, sitting
from adrs.isolation import in_force
from adrs.pool import Pool, cores
from adrs.propose import hook_fault
from adrs.settings import Settings
from adrs.terminal import note, say
from adrs.validation import identity
from adrs.writable import writing
from evaluators.confine import Limits
from evaluators.evaluation import Evaluation, Outcome, PolicyError
from evaluators.manners import Manner
from evaluators.problem import Exam, Hook, Problem, Standard
from evaluators.problems import load as load_problem
from evaluators.scenario import Scenario, Split
from evaluators.sim.run import Run
from evaluators.views import Column

RUNS = Path("runs")
KEPT = "score.secret"
"""One for all runs there, so that scores of held-out compare."""


class Sat(NamedTuple):
    """The exams that were sat, their name, and the metrics that sum them up."""

    name: str
    exams: Sequence[Exam]
    headline: tuple[str, ...]


def run(settings: Settings) -> int:
    """Print the scores; 0 when the policy was scored on every scenario."""
    if settings.split not in SPLITS:
        raise ValueError(f"split is {settings.split!r}; there are {', '.join(SPLITS)}")
    source = policy_text(settings.file, settings.problem.name)
    _check(source, settings)
    kept = secret.chosen(settings.secret, RUNS / KEPT)
    at = sitting(settings, RUNS / "capacities.json", kept)
    sat = exams(at, cast(Split, settings.split))
    for line in doubts(sat):
        note(line)
    limits = Limits(**settings.limits)
    workers = settings.workers or cores()
    with Pool(at.problem.name, workers, settings.isolation, limits) as pool:
        evaluation = next(iter(pool.evaluate([source], sat)))
    write = _json if settings.format == "json" else _table
    found = Sat(identity(at, sat), sat, at.problem.headline)
    say(write(settings, evaluation, found))
    if settings.trace is not None:
        layers = in_force(settings.isolation).layers
        worst = _worst(evaluation, sat)
        _trace(Path(settings.trace), at.problem, source, worst, limits, layers)
    return 1 if evaluation.failure else 0


def _check(source: str, settings: Settings) -> None:
    """Raise ``ValueError`` for a text that is no policy, before anything is judged."""
    try:
        made = candidate(source, origin=f"file {settings.file}")
    except PolicyError as error:
        raise ValueError(f"{settings.file}: {error}") from None
    problem = load_problem(settings.problem.name)
    fault = hook_fault(parse(made.source), problem.hooks)
    if fault:
        raise ValueError(f"{settings.file} is no policy of {problem.name}: {fault}")


def _table(settings: Settings, evaluation: Evaluation, sat: Sat) -> str:
    head = ["scenario", "load", "score", *map(_title, sat.headline)]
    rows = [head, *(_row(each, sat.headline) for each in evaluation.outcomes)]
    widths = [
        max(len(row[i]) for row in rows if i < len(row)) for i in range(len(head))
    ]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join((
        *lines,
        "",
        f"{settings.split} exams: {sat.name}",
        f"{settings.split} score {evaluation.score:.4f} over {len(sat.exams)} scenarios"
        f" | isolation {evaluation.isolation}"
        f" | calibration {sat.exams[0].scenario.calibration}",
    ))


def _title(metric: str) -> str:
    """A metric's name as a head of a column, its unit last."""
    return metric.replace("_", " ")


def _row(outcome: Outcome, headline: Sequence[str]) -> list[str]:
    cells = [outcome.scenario, f"{outcome.regime:g}x", f"{outcome.score:.4f}"]
    if outcome.failure is not None:
        return [*cells, f"{outcome.failure.kind}: {outcome.failure.message}"]
    return cells + [f"{outcome.metrics[name]:.4g}" for name in headline]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first cell to the left, numbers to the right, a failure as it is."""
    if len(row) < len(widths):
        widths = [*widths[: len(row) - 1], 0]
    cells = zip(row[1:], widths[1:], strict=False)
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in cells)]


def _json(settings: Settings, evaluation: Evaluation, sat: Sat) -> str:
    facts = {
        "file": settings.file,
        "split": settings.split,
        "exams": sat.name,
        "score": evaluation.score,
        "isolation": evaluation.isolation,
        "calibration": sat.exams[0].scenario.calibration,
        "companions": dict(settings.companions),
        "outcomes": [_facts(outcome) for outcome in evaluation.outcomes],
    }
    return json.dumps(facts, indent=2)


def _facts(outcome: Outcome) -> dict[str, Any]:
    failure = outcome.failure
    return {
        "scenario": outcome.scenario,
        "regime": outcome.regime,
        "score": outcome.score,
        "metrics": dict(outcome.metrics),
        "failure": failure and {"kind": failure.kind, "message": failure.message},
    }


def _worst(evaluation: Evaluation, sat: Sequence[Exam]) -> Exam:
    """The exam with the lowest score; the earlier of equals."""
    scores = evaluation.scores
    return sat[scores.index(min(scores))]


class Watched:
    """A problem that keeps the simulation of the one policy that it judges."""

    def __init__(self, problem: Problem) -> None:
        self.name, self.brief = problem.name, problem.brief
        self.hooks: tuple[Hook, ...] = problem.hooks
        self.manners: tuple[Manner, ...] = problem.manners
        self.views: Mapping[str, tuple[Column, ...]] = problem.views
        self.headline = problem.headline
        self.serve = problem.serve
        self.run: Run | None = None

    def standard(self, scenario: Scenario) -> Standard:
        """Nothing is held against anything here."""
        del scenario
        return Standard(1.0, {})

    def evaluate(
        self, policy: object, scenario: Scenario, standard: Standard
    ) -> Outcome:
        """Serve the scenario and keep what happened."""
        del standard
        self.run = self.serve(policy, scenario)
        return Outcome(scenario.name, scenario.regime, 0.0, {})


def _trace(
    path: Path,
    problem: Problem,
    source: str,
    exam: Exam,
    limits: Limits,
    layers: tuple[str, ...],
) -> None:
    watched = Watched(problem)
    outcome = sandbox.evaluate(watched, source, exam, limits, layers)
    if watched.run is None:
        assert outcome.failure is not None
        failure = outcome.failure
        raise ValueError(
            f"no timeline of {exam.scenario.name}: the policy failed there "
            f"({failure.kind}: {failure.message})"
        )
    with writing(path, "trace=FILE"):
        path.write_text(timeline.render(exam.scenario, watched.run), encoding="utf-8")
    note(f"timeline of {exam.scenario.name}, the lowest score: {path}")
    note("open it at https://ui.perfetto.dev")
