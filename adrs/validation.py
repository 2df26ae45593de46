"""The validation exams: who sits them, and the verdict that comes of it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from adrs.archive import Archive, Row
from adrs.candidate import Trial
from adrs.exams import Sitting, exams, halves
from adrs.logs import Logs
from adrs.pool import Pool
from adrs.steadiness import unsteady
from adrs.verdict import Arm, Contender, Verdict
from evaluators.capacity import decisive
from evaluators.evaluation import Evaluation, Outcome
from evaluators.problem import Exam

VALIDATION = "validation"
"""Name of the logs of decisions of what sat the validation exams."""


class Sitter(NamedTuple):
    """A policy about to sit the validation exams."""

    arm: Arm
    row: Row
    trial: Trial

    @property
    def source(self) -> str:
        """Text of the policy."""
        return self.trial.candidate.source


def validate(
    at: Sitting,
    pool: Pool,
    train: Sequence[Exam],
    arms: tuple[Archive, Archive],
    most: int,
    tell: Callable[[str], None],
) -> Verdict:
    """Verdict on the ``most`` best of each arm by their train score.

    ``arms`` are the journals of the search, with the seeds, and of the control. After
    each policy ``tell`` is told how far it is. Policies that failed anywhere on train
    do not sit, nor do those that decide differently when they sit it again. Raises
    ``ValueError`` when validation cannot be halved or no baseline may sit it.
    """
    evolved = arms[0]
    sat = exams(at, "validation")
    pick, reporting = halves(at, sat)
    sitters, differing = _admitted(pool, train, arms, most)
    sources = list(dict.fromkeys(sitter.source for sitter in sitters))
    found: dict[str, Evaluation] = {}
    for source, evaluation in zip(sources, pool.evaluate(sources, sat), strict=True):
        found[source] = evaluation
        tell(f"validate | {len(found)}/{len(sources)} policies, {len(sat)} exams each")
    logs = Logs(evolved.path.with_name(VALIDATION))
    for sitter in sitters:
        logs.keep(sitter.row.id, found[sitter.source].outcomes)
    n_evolved, n_tuned = (sum(row.round > 0 for row in arm.rows) for arm in arms)
    return Verdict(
        tuple(_contender(s, found[s.source], len(pick)) for s in sitters),
        tuple(exam.scenario.regime for exam in reporting),
        identity(at, sat),
        next(iter(found.values())).isolation,
        at.service.calibration,
        n_evolved,
        n_tuned,
        at.regimes * at.seeds["train"],
        differing,
    )


def _admitted(
    pool: Pool, train: Sequence[Exam], arms: tuple[Archive, Archive], most: int
) -> tuple[list[Sitter], tuple[str, ...]]:
    """Who may sit, and who may not for deciding differently when asked again."""
    evolved, tuned = arms
    sitters = [*_sitters("seed", evolved, most), *_sitters("evolved", evolved, most)]
    sitters += _sitters("tuned", tuned, most)
    differing = unsteady(pool, [sitter.trial for sitter in sitters], train)
    sitters = [s for s in sitters if s.row.id not in differing]
    if all(sitter.arm != "seed" for sitter in sitters):
        raise ValueError("no seed can be scored on every exam, and alike twice")
    return sitters, differing


def identity(at: Sitting, sat: Sequence[Exam]) -> str:
    """Name of what was sat, with a hash of every request, standard and promise."""
    hashed = hashlib.sha256(repr(at.service).encode())
    for scenario, standard in sat:
        for column in decisive(scenario.trace):
            hashed.update(column.tobytes())
        tails = sorted(standard.tails.items())
        hashed.update(json.dumps([standard.bound, tails]).encode())
    place = f"{at.problem.name}, {at.workload.name} on {at.service.deployment.name}"
    for problem, beside in sorted(at.companions.items()):
        place += f", {problem} by {Path(beside.name).stem}"
        hashed.update(beside.source.encode())
    return f"{place}, {len(sat)} scenarios ({hashed.hexdigest()[:8]})"


def _sitters(arm: Arm, archive: Archive, most: int) -> Iterator[Sitter]:
    """The best of an arm, the earlier of equals first."""
    rows = [
        row
        for row in archive.rows
        if (row.round == 0) == (arm == "seed") and row.is_ranked
    ]
    for row in sorted(rows, key=lambda row: -row.score)[:most]:
        yield Sitter(arm, row, archive.trial(row.id))


def _contender(sitter: Sitter, evaluation: Evaluation, n_pick: int) -> Contender:
    scores = evaluation.scores
    return Contender(
        id=sitter.row.id,
        arm=sitter.arm,
        idea=sitter.trial.candidate.idea,
        train=sitter.row.score,
        pick=scores[:n_pick],
        report=scores[n_pick:],
        bound_ratio=_bound_ratio(evaluation.outcomes[n_pick:]),
        trained=sitter.row.scores,
        decisions=tuple(outcome.decisions for outcome in evaluation.outcomes),
    )


def _bound_ratio(outcomes: Sequence[Outcome]) -> float:
    """Mean of that metric; 0 where a policy failed."""
    ratios = [o.metrics["bound_ratio"] if o.metrics else 0.0 for o in outcomes]
    return sum(ratios) / len(ratios)
