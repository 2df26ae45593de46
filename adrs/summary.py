"""What a finished run says: the winner, what it changed, what that gained."""

import difflib
from collections.abc import Sequence

from adrs.archive import Archive
from adrs.candidate import Candidate
from adrs.kernel_replay import KernelReplay
from adrs.verdict import Comparison, Contender, Verdict


def summary(
    archive: Archive, verdict: Verdict, replay: KernelReplay | None = None
) -> str:
    """Winner, its diff against the baseline it descends from, its gains."""
    winner = verdict.winner
    if winner is None:
        why = f"{_why_nobody(archive, verdict)}; the baselines stand"
        return "\n".join([why, *_kernels(verdict, replay), *_unsteady(verdict)])
    made = archive.candidate(winner.id)
    before = root(archive, winner.id)
    lines = [f"winner {winner.id[:8]}: {made.idea}", f"made by: {made.origin}", ""]
    if before is not None:
        lines += [*diff(before, made), ""]
    lines += gains(verdict, winner)
    return "\n".join([*lines, *_kernels(verdict, replay), *_unsteady(verdict)])


def _kernels(verdict: Verdict, replay: KernelReplay | None) -> list[str]:
    """How near the predicted steps come to a device's, and what that hides."""
    if replay is None:
        return []
    names = {verdict.best_seed.id: "the best seed"}
    if verdict.winner is not None:
        names[verdict.winner.id] = "the winner"
    lines = [
        f"kernel replay of {replay.model} on {replay.device} ({replay.clock}), against "
        f"{replay.calibration}:",
        *(
            f"  {names[each.id]}: {len(each.measured_s)} steps, mean error "
            f"{each.error:.1%}, all together {each.bias:+.1%}"
            for each in replay.policies
        ),
    ]
    winner = verdict.winner
    if winner is not None and replay.hides(verdict, winner):
        gain = verdict.compare(winner, verdict.best_seed).overall.mean
        lines.append(
            f"NOT BEYOND THE KERNEL ERROR: the gain over the best seed is "
            f"{gain / verdict.best_seed.validation:+.1%} of its score, the error of "
            f"step times {replay.error(verdict, winner):.1%}"
        )
    return lines


def _unsteady(verdict: Verdict) -> list[str]:
    ids = ", ".join(id_[:8] for id_ in verdict.unsteady)
    line = f"not ranked, as they decide differently when asked again: {ids}"
    return [line] if ids else []


def gains(verdict: Verdict, winner: Contender) -> list[str]:
    """The gain over every reference, whatever its sign, on the reporting half."""
    n_exams = len(verdict.regimes)
    lines = [
        f"On the half of validation that picked nobody ({n_exams} scenarios; fraction "
        "of the bound, [95 % interval]; those of the loads hold together):",
        f"validation exams: {verdict.exams}",
        f"winner {winner.validation:.4f}, of the bound before gates "
        f"{winner.bound_ratio:.4f}",
    ]
    seed, tuned = verdict.best_seed, verdict.tuned
    lines += _gain("the best seed", seed, verdict.compare(winner, seed))
    if tuned is not None:
        n, most = verdict.n_tuned, verdict.n_evolved
        many = "as many" if n == most else f"{n} of {most}"
        name = f"the best tunable seed, tuned with {many} evaluations"
        lines += _gain(name, tuned, verdict.compare(winner, tuned))
    return [*lines, *_caution(verdict, winner)]


def _caution(verdict: Verdict, winner: Contender) -> list[str]:
    """How the best of many was named without being fooled by luck, and its gap."""
    found = verdict.gap(winner)
    n_sat = sum(each.arm == "evolved" for each in verdict.contenders)
    lines = [
        f"of {verdict.n_evolved} evolved policies the {n_sat} best on train sat "
        "validation; one half picked the winner and the other alone reports it, so the "
        "choice favours nobody: an equal is called better in 1 of 40 runs, or 1 of 20 "
        "where two references are named (more often where a few exams in a hundred "
        "decide: up to 1 in 8 measured on eviction)",
        f"gain over the best seed on train {found.on_train:+.4f}, on validation "
        f"{found.on_fresh:+.4f}; luck alone does as much in {found.chance:.2%} of runs",
    ]
    if found.is_alarming:
        lines.append(
            "ALARM: luck does not explain this gap; the policy fits the train exams, "
            "which everyone can draw: look for values that it knows by heart"
        )
    return lines


def _why_nobody(archive: Archive, verdict: Verdict) -> str:
    """Why no evolved policy sat the validation exams."""
    if verdict.n_evolved:
        return f"none of {verdict.n_evolved} evolved policies was valid on every exam"
    stops = (event for event in archive.events if event.kind == "stop")
    reason = next((event.facts["reason"] for event in stops), "nothing")
    why = f"no evolved policy was evaluated: the search ended by {reason}"
    rejected = [each for each in archive.index.rejections if each.round > 0]
    if not rejected:
        return f"{why} before the first"
    last = rejected[-1]
    return f"{why}, {len(rejected)} answers gave none, the last: {last.message}"


def _gain(name: str, other: Contender, found: Comparison) -> list[str]:
    words = "better" if found.is_better else "not shown to be better"
    if found.worse_at:
        words += f": worse at load {', '.join(f'{x:g}x' for x in found.worse_at)}"
    if not found.is_better:
        words += f"; that one reaches {other.bound_ratio:.4f} of the bound before gates"
    return [
        f"gain over {name} ({other.validation:.4f}, {other.idea.rstrip('.')}):",
        f"  {found.overall}  {words}",
        *(f"  load {x:g}x {gain}" for x, gain in found.by_regime.items()),
    ]


def root(archive: Archive, id: str) -> Candidate | None:
    """The baseline that a policy was changed from, step by step; None for a baseline.

    Of several parents the first is the one that was changed.
    """
    made = archive.candidate(id)
    if not made.parents:
        return None
    while made.parents:
        made = archive.candidate(made.parents[0])
    return made


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
