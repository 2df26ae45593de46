"""A run as the leaderboard shows it: baselines, elites, winner and the curve."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from adrs.archive import Archive
from adrs.candidate import Candidate
from adrs.curve import Curve, whole
from adrs.isolation import STRICT
from adrs.kernel_replay import KernelReplay
from adrs.run_folder import CONFIG, JOURNAL, RunFolder, is_incidental
from adrs.shown import Entry, Report
from adrs.summary import diff, gains, root
from adrs.verdict import Contender, Verdict
from evaluators.problems import load


def report(
    folder: RunFolder,
    settings: Mapping[str, Any],
    archive: Archive,
    verdict: Verdict,
    replay: KernelReplay | None = None,
) -> Report:
    """The run, its baselines and its elites."""
    winner = verdict.winner
    return Report(
        problem=settings["problem.name"],
        campaign_id=_campaign_id(folder),
        name=folder.name,
        settings=_decisive(settings),
        metrics=_closing(verdict),
        curve=whole(archive.rows),
        entries=tuple(
            _with_kernels(each, verdict, replay)
            for each in _entries(
                archive, verdict, load(settings["problem.name"]).headline
            )
        ),
        files=(folder.path / CONFIG, folder.path / JOURNAL),
        winner=None if winner is None else winner.id,
        note="\n".join(gains(verdict, winner)) if winner else "no valid policy",
    )


def stopped(folder: RunFolder, settings: Mapping[str, Any], archive: Archive) -> Report:
    """A run that was interrupted before its verdict."""
    curve = Curve()
    curve.take(archive.rows)
    begun = _begun(
        folder, settings, f"stopped; {_again(folder)} and its settings go on"
    )
    return replace(begun, curve=curve.points, files=(folder.path / CONFIG,))


def under_way(folder: RunFolder, settings: Mapping[str, Any]) -> Report:
    """A run that is searching, or was killed at it, without its curve."""
    note = f"under way; if it died, {_again(folder)} and its settings go on"
    return _begun(folder, settings, note)


def _begun(folder: RunFolder, settings: Mapping[str, Any], note: str) -> Report:
    return Report(
        problem=settings["problem.name"],
        campaign_id=_campaign_id(folder),
        name=folder.name,
        settings=_decisive(settings),
        metrics={},
        curve={},
        entries=(),
        files=(),
        winner=None,
        note=note,
    )


def _again(folder: RunFolder) -> str:
    return shlex.join(("adrs", "evolve", f"run={folder.name}"))


def _decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What may not change when a run goes on: MLflow refuses changed parameters."""
    return {key: settings[key] for key in settings if not is_incidental(key)}


def _campaign_id(folder: RunFolder) -> str:
    text = f"{folder.path.resolve()} {folder.digest}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _closing(verdict: Verdict) -> dict[str, float]:
    metrics = {"best_seed_validation": verdict.best_seed.validation}
    if verdict.winner is None:
        return metrics
    metrics["winner_validation"] = verdict.winner.validation
    references = {"best_seed": verdict.best_seed, "tuned": verdict.tuned}
    for name, other in references.items():
        if other is not None:
            found = verdict.compare(verdict.winner, other).overall
            metrics[f"gain_over_{name}"] = found.mean
            metrics[f"gain_over_{name}_low"] = found.low
            metrics[f"gain_over_{name}_high"] = found.high
    return metrics


def _entries(
    archive: Archive, verdict: Verdict, headline: Sequence[str]
) -> Iterator[Entry]:
    for contender in verdict.contenders:
        if contender.arm == "tuned":
            continue
        made = archive.candidate(contender.id)
        over = verdict.compare(contender, verdict.best_seed).overall
        yield Entry(
            candidate_id=contender.id,
            name=contender.idea,
            tags={
                "arm": contender.arm,
                "origin": made.origin,
                "isolation": verdict.isolation,
                "ranked": str(verdict.isolation == STRICT).lower(),
                "calibration": verdict.calibration,
                "exams": verdict.exams,
                "gap_alarm": str(verdict.gap(contender).is_alarming).lower(),
            },
            metrics={
                "train": contender.train,
                "validation": contender.validation,
                "gap": contender.train - contender.validation,
                "gain": over.mean,
                "gain_low": over.low,
                "gain_high": over.high,
                "bound_ratio": contender.bound_ratio,
                **_means(archive, made, headline),
            },
            files=_files(archive, made, contender),
        )


def _with_kernels(entry: Entry, verdict: Verdict, replay: KernelReplay | None) -> Entry:
    """The entry with what a device said of its steps, where one did."""
    own = next(c for c in verdict.contenders if c.id == entry.candidate_id)
    error = replay.error(verdict, own) if replay else None
    if replay is None or error is None:
        return entry
    hidden = str(replay.hides(verdict, own)).lower()
    tags = {"kernel_device": replay.device, "gain_within_kernel_error": hidden}
    metrics = {**entry.metrics, "kernel_error": error}
    return replace(entry, tags={**entry.tags, **tags}, metrics=metrics)


def _means(
    archive: Archive, made: Candidate, headline: Sequence[str]
) -> dict[str, float]:
    """What sums the problem up, on train, by name; nothing where it failed."""
    outcomes = archive.trial(made.id).evaluation.outcomes
    if any(outcome.failure for outcome in outcomes):
        return {}
    return {
        f"train_{name}": fmean(outcome.metrics[name] for outcome in outcomes)
        for name in headline
    }


def _files(archive: Archive, made: Candidate, contender: Contender) -> dict[str, str]:
    """MLflow previews .py, .md and .json; a .diff it does not."""
    outcomes = archive.trial(made.id).evaluation.outcomes
    scored = [
        {"scenario": o.scenario, "score": o.score, "metrics": dict(o.metrics)}
        for o in outcomes
    ]
    files = {
        "policy.py": made.source,
        "train.json": json.dumps(scored, indent=2),
        "validation.json": json.dumps(
            {"picks": contender.pick, "reports": contender.report}, indent=2
        ),
    }
    before = root(archive, made.id)
    if before is not None:
        files["diff.md"] = "```diff\n" + "\n".join(diff(before, made)) + "\n```\n"
    return files
