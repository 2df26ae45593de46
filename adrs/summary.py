"""What a finished run says: the winner, what it changed, what that gained."""

import difflib
from collections.abc import Sequence

from adrs.archive import Archive, Row
from adrs.candidate import Candidate
from adrs.verdict import Comparison, Contender, Verdict


def summary(archive: Archive, verdict: Verdict) -> str:
    """Winner, its diff against the best baseline among its ancestors, its gains."""
    winner = verdict.winner
    if winner is None:
        return "no evolved policy was valid; the baselines stand"
    made = archive.candidate(winner.id)
    ancestor = best_root(archive, winner.id)
    lines = [f"winner {winner.id[:8]}: {made.idea}", f"made by: {made.origin}", ""]
    if ancestor is not None:
        lines += [*diff(ancestor, made), ""]
    lines += gains(verdict, winner)
    return "\n".join(lines)


def gains(verdict: Verdict, winner: Contender) -> list[str]:
    """The gain over every reference, whatever its sign, on the reporting half."""
    n_exams = len(verdict.regimes)
    lines = [
        f"On the half of validation that picked nobody ({n_exams} scenarios; fraction "
        "of the bound, [95 % interval]):",
        f"winner {winner.validation:.4f}, of the bound before gates "
        f"{winner.bound_ratio:.4f}",
    ]
    seed, tuned = verdict.best_seed, verdict.tuned
    lines += _gain("the best seed", seed, verdict.compare(winner, seed))
    if tuned is not None:
        name = "that seed tuned with as many evaluations"
        lines += _gain(name, tuned, verdict.compare(winner, tuned))
    return lines


def _gain(name: str, other: Contender, found: Comparison) -> list[str]:
    words = "better" if found.is_better else "not shown to be better"
    return [
        f"gain over {name} ({other.validation:.4f}, {other.idea}):",
        f"  {found.overall}  {words}",
        *(f"  load {x:g}x {gain}" for x, gain in found.by_regime.items()),
    ]


def best_root(archive: Archive, id: str) -> Candidate | None:
    """The ancestor without parents that scored best on train; None for a root."""
    rows = {row.id: row for row in archive.rows}
    roots = [row for row in _ancestors(rows, id) if not row.parents]
    if not roots:
        return None
    return archive.candidate(max(roots, key=lambda row: row.score).id)


def _ancestors(rows: dict[str, Row], id: str) -> list[Row]:
    """Every evaluated ancestor, nearest first."""
    found: dict[str, Row] = {}
    queue = list(rows[id].parents)
    while queue:
        parent = queue.pop(0)
        if parent in rows and parent not in found:
            found[parent] = rows[parent]
            queue += rows[parent].parents
    return list(found.values())


def diff(before: Candidate, after: Candidate) -> Sequence[str]:
    """Unified diff of two policies."""
    return list(
        difflib.unified_diff(
            before.source.splitlines(),
            after.source.splitlines(),
            f"{before.id[:8]} {before.origin}",
            f"{after.id[:8]} winner",
            lineterm="",
        )
    )
