"""The validation exams: who sits them, and the verdict that comes of it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from adrs.archive import Archive, Row
from adrs.exams import Sitting, exams, halves
from adrs.pool import Pool
from adrs.verdict import Arm, Contender, Verdict
from evaluators.capacity import decisive
from evaluators.evaluation import Evaluation, Outcome
from evaluators.problem import Exam


class Sitter(NamedTuple):
    """A policy about to sit the validation exams."""

    arm: Arm
    row: Row
    idea: str
    source: str


def validate(
    at: Sitting,
    pool: Pool,
    arms: tuple[Archive, Archive],
    most: int,
    tell: Callable[[str], None],
) -> Verdict:
    """Verdict on the ``most`` best of each arm by their train score.

    ``arms`` are the journals of the search, with the seeds, and of the control. After
    each policy ``tell`` is told how far it is. Policies that failed anywhere on train
    do not sit. Raises ``ValueError`` when validation cannot be halved.
    """
    evolved, tuned = arms
    sat = exams(at, "validation")
    pick, reporting = halves(at, sat)
    sitters = [*_sitters("seed", evolved, most), *_sitters("evolved", evolved, most)]
    sitters += _sitters("tuned", tuned, most)
    sources = list(dict.fromkeys(sitter.source for sitter in sitters))
    found: dict[str, Evaluation] = {}
    for source, evaluation in zip(sources, pool.evaluate(sources, sat), strict=True):
        found[source] = evaluation
        tell(f"validate | {len(found)}/{len(sources)} policies, {len(sat)} exams each")
    return Verdict(
        tuple(_contender(s, found[s.source], len(pick)) for s in sitters),
        tuple(exam.scenario.regime for exam in reporting),
        identity(at, sat),
        next(iter(found.values())).isolation,
        at.service.calibration,
        *(sum(row.round > 0 for row in arm.rows) for arm in arms),
        at.regimes * at.seeds["train"],
    )


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
        made = archive.candidate(row.id)
        yield Sitter(arm, row, made.idea, made.source)


def _contender(sitter: Sitter, evaluation: Evaluation, n_pick: int) -> Contender:
    scores = evaluation.scores
    return Contender(
        id=sitter.row.id,
        arm=sitter.arm,
        idea=sitter.idea,
        train=sitter.row.score,
        pick=scores[:n_pick],
        report=scores[n_pick:],
        bound_ratio=_bound_ratio(evaluation.outcomes[n_pick:]),
        trained=sitter.row.scores,
    )


def _bound_ratio(outcomes: Sequence[Outcome]) -> float:
    """Mean of that metric; 0 where a policy failed."""
    ratios = [o.metrics["bound_ratio"] if o.metrics else 0.0 for o in outcomes]
    return sum(ratios) / len(ratios)
