"""The comparison as text: every number that is claimed, from the runs themselves."""

from collections.abc import Iterator, Mapping

import numpy as np

from evaluators.calibration.step_time import StepTime
from tests.vllm_cpu import limits, ranking
from tests.vllm_cpu.campaign import TRACES, Served
from tests.vllm_cpu.measured import METRICS, of_runs
from tests.vllm_cpu.policies import RANKED
from tests.vllm_cpu.ranking import Cell, Repeats

Means = Mapping[Cell, float]


def report(runs: list[Served], times: StepTime) -> str:
    """Latencies of both, the ranks, how well they agree, and what limits that."""
    ranked = [run for run in runs if run.purpose == "rank"]
    measured, predicted = of_runs(ranked), limits.predicted(ranked, times)
    told = limits.told(ranked, times)
    flat = limits.predicted(ranked, limits.mean_step(runs))
    lines: list[str] = []
    for trace in TRACES:
        for metric in METRICS:
            lines += _table(trace, metric, measured[metric], predicted[metric])
    lines += _agreement(measured, predicted)
    lines += _taus(measured, {"ours": predicted, "told": _means(told), "flat": flat})
    lines += _errors(measured, predicted, told)
    lines += ["", *_step_errors(runs, times), _shares(ranked)]
    return "\n".join(lines)


def _table(
    trace: str, metric: str, measured: Repeats, predicted: Means
) -> Iterator[str]:
    """One metric on one trace, seconds: the engine's mean and spread, ours, ranks."""
    cells = [(trace, policy) for policy in RANKED]
    theirs = np.array([measured[cell].mean() for cell in cells])
    ours = np.array([predicted[cell] for cell in cells])
    ranks = [values.argsort().argsort() + 1 for values in (theirs, ours)]
    yield ""
    yield f"{trace}, {metric}"
    yield "| policy | engine | repeats | ours | rank | ours |"
    yield "|---|---|---|---|---|---|"
    for place in theirs.argsort():
        single = ", ".join(f"{np.exp(x):.2f}" for x in measured[cells[place]])
        yield (
            f"| {cells[place][1]} | {np.exp(theirs[place]):.2f} | {single} "
            f"| {np.exp(ours[place]):.2f} | {ranks[0][place]} | {ranks[1][place]} |"
        )


def _agreement(
    measured: dict[str, Repeats], predicted: dict[str, Means]
) -> Iterator[str]:
    yield ""
    yield ("| metric | pairs | right | tau | 95 % | told apart | right | tau |")
    yield "|---|---|---|---|---|---|---|---|"
    for metric in METRICS:
        found, certain = agreement(measured[metric], predicted[metric])
        low, high = ranking.interval(measured[metric], predicted[metric])
        yield (
            f"| {metric} | {found.pairs} | {found.share:.0%} | {found.tau:.2f} "
            f"| {low:.2f} to {high:.2f} | {certain.pairs} | {certain.share:.0%} "
            f"| {certain.tau:.2f} |"
        )


def agreement(
    measured: Repeats, predicted: Means
) -> tuple[ranking.Order, ranking.Order]:
    """Of all pairs, and of those that the repeats tell apart."""
    means = {cell: float(values.mean()) for cell, values in measured.items()}
    found = ranking.pairs(means, predicted)
    return ranking.order(found), ranking.order(ranking.apart(found, measured))


def _taus(
    measured: dict[str, Repeats], told: dict[str, dict[str, Means]]
) -> Iterator[str]:
    """Tau over all pairs of three predictors, and of the engine itself."""
    yield ""
    yield (
        "| tau over all pairs | ours | every step takes the mean | a run of the engine "
        "| ours, told each run's speed |"
    )
    yield "|---|---|---|---|---|"
    for metric in METRICS:
        ours, flat, knowing = (
            agreement(measured[metric], told[name][metric])[0].tau
            for name in ("ours", "flat", "told")
        )
        own = ranking.ceiling(measured[metric])
        yield f"| {metric} | {ours:.2f} | {flat:.2f} | {own:.2f} | {knowing:.2f} |"


def _errors(
    measured: dict[str, Repeats],
    predicted: dict[str, Means],
    told: dict[str, Repeats],
) -> Iterator[str]:
    """How far runs are off, median and bias: the engine's own, and ours."""
    yield ""
    yield (
        "| metric | a run of the engine off its mean | ours off a run: median, bias "
        "| told its speed |"
    )
    yield "|---|---|---|---|"
    for metric in METRICS:
        runs = measured[metric]
        blind = np.concatenate([predicted[metric][cell] - runs[cell] for cell in runs])
        knowing = np.concatenate([told[metric][cell] - runs[cell] for cell in runs])
        yield (
            f"| {metric} | {ranking.noise(runs):.1%} | {_middle(blind)} "
            f"| {_middle(knowing)} |"
        )


def _means(repeats: dict[str, Repeats]) -> dict[str, Means]:
    return {
        name: {cell: float(values.mean()) for cell, values in cells.items()}
        for name, cells in repeats.items()
    }


def _shares(ranked: list[Served]) -> str:
    quiet = sum(run.is_quiet for run in ranked)
    host, stolen = limits.host_share(ranked), limits.stolen_share(ranked)
    return (
        f"of the time of ranked steps, scheduler and policy took {host:.1%}; others "
        f"took {stolen:.1%} of the core ({quiet} of {len(ranked)} runs went before "
        "other processes); a decode step and the next differ by "
        f"{limits.repeat_spread(ranked):.1%}"
    )


def _step_errors(runs: list[Served], times: StepTime) -> Iterator[str]:
    for purpose in ("fit", "hold out", "rank"):
        found = [limits.steps(r, times) for r in runs if r.purpose == purpose]
        errors = np.concatenate([steps.errors for steps in found])
        slowness = np.array([steps.slowness for steps in found])
        yield (
            f"{purpose}: {len(found)} runs, {len(errors)} steps, median error "
            f"{np.median(np.abs(errors)):.1%}, 90 % within "
            f"{np.quantile(np.abs(errors), 0.9):.1%}; whole runs took "
            f"{slowness.mean():.3f} of what we say, {slowness.min():.3f} to "
            f"{slowness.max():.3f}"
        )


def _middle(ratios: np.ndarray) -> str:
    return f"{np.median(np.abs(np.expm1(ratios))):.1%}, {np.expm1(ratios.mean()):+.1%}"
