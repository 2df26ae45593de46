"""Reads our own measurements: kernels of a GPU as op tables, whole steps as samples.

``python -m evaluators.kernels`` leaves such a folder. A GPU's calibration is composed
of its kernels and held against its whole steps; a CPU's is fitted to whole steps, as
what passes between kernels there is no small part. Kernels beyond a family's columns
(chunks after a prefix, unequal contexts, copies) stay in the folder's own tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.calibration.calibration_file import BLOCK_TOKENS, VERSION, step_time
from evaluators.calibration.composed import Composed, Wanted, composed, errors
from evaluators.calibration.config_json import model_shape
from evaluators.calibration.fit import rounded
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.op_tables import OpTables, op_tables
from evaluators.calibration.records import Provenance
from evaluators.calibration.samples import Samples
from evaluators.calibration.shapes import CPUS, GPUS
from evaluators.calibration.step_time import Batch, StepTime
from evaluators.calibration.steps_fit import fit_samples
from evaluators.kernels import provenance
from evaluators.kernels.predicted import regime
from evaluators.kernels.table import read_table

FOLDER = "measured"
FAMILIES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "gemm": lambda table: table["m"] > 0,
    "prefill_attention": lambda table: table["prefix"] == 0,
    "decode_attention": lambda table: table["batch"] > 0,
    "moe": lambda table: table["tokens"] > 0,
}
"""Tables that are families of op tables, with the rows that belong to them."""
HELD_OUT = 3
"""Every third step, by its aggregates, is left out of the fit that is judged."""
CPU_KV_BLOCKS = 4096
NORMAL_SPREAD = 2.563
"""Standard deviations between the tenth and the ninetieth percentile."""

ASSUMED_OF_CPU = (
    "A step is the model's forward pass and a greedy choice: no tokeniser, scheduler "
    "or server beside it.",
    "Larger batches and longer contexts than those measured go on as the last lines.",
)


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of the folder's device; ``asked.gpu`` is its data sheet.

    Raises ``ValueError`` for a folder without tables, or of another model.
    """
    place = _named(folder)
    who = provenance.read(place)
    if (asked.gpu in CPUS) != (who.kind == "cpu"):
        raise ValueError(f"{place} was measured on {who.device}, no {asked.gpu}")
    if who.model != asked.model:
        raise ValueError(f"{place} has steps of {who.model}, not of {asked.model}")
    if who.kind == "cpu":
        return _fitted(place, who, asked)
    return _summed(place, who, asked)


def read(folder: Path | None, gpu: str, dtype: str = "bfloat16") -> OpTables:
    """Op tables of the folder; ``gpu`` is the data sheet of what it was measured on.

    Raises ``ValueError`` when the folder holds no tables or is of other numbers, or
    when no sheet has that name.
    """
    place = _named(folder)
    if gpu not in GPUS:
        raise ValueError(f"no data sheet {gpu!r}; there are {', '.join(GPUS)}")
    who = provenance.read(place)
    if who.dtype != dtype:
        raise ValueError(f"{place} was measured in {who.dtype}, not {dtype}")
    found = {
        name: _family(place, name, kept)
        for name, kept in FAMILIES.items()
        if _has_rows(place / f"{name}.csv")
    }
    if not found:
        raise ValueError(f"{place} has none of the tables {', '.join(FAMILIES)}")
    return op_tables(GPUS[gpu], found)


def samples(folder: Path, mode: str | None = None) -> Samples:
    """Whole-model steps that were measured, medians, ordered by their aggregates.

    Of one ``mode``; by default CUDA graphs where there are any, as engines run them.
    Raises ``ValueError`` when there are none.
    """
    table = _steps(folder, mode)
    columns = {name: np.asarray(table[name], float) for name in Batch._fields}
    return Samples(**columns, seconds=table["seconds_p50"])


def noise(folder: Path) -> float:
    """Relative standard deviation of a repeated step, the median over steps."""
    table = _steps(folder, None)
    spread = (table["seconds_p90"] - table["seconds_p10"]) / table["seconds_p50"]
    return float(np.median(spread)) / NORMAL_SPREAD


def held_out(steps: Samples) -> tuple[Samples, Samples]:
    """The steps to fit on, and every third, which the fit may not see."""
    is_held = np.arange(len(steps)) % HELD_OUT == 1
    return steps.only(~is_held), steps.only(is_held)


def by_regime(steps: Samples) -> dict[str, Samples]:
    """The steps parted by what they compute."""
    columns = [getattr(steps, name).astype(int) for name in Batch._fields]
    names = np.array([regime(Batch(*row)) for row in np.stack(columns, 1).tolist()])
    return {str(name): steps.only(names == name) for name in np.unique(names)}


def _fitted(folder: Path, who: provenance.Provenance, asked: Asked) -> Composed:
    steps = samples(folder)
    seen, unseen = held_out(steps)
    blind, parted = step_time(fit_samples(seen)), by_regime(unseen)
    engine = f"torch {who.torch}, eager, one thread"
    content = {
        "version": VERSION,
        "model": asked.model,
        "gpu": asked.gpu,
        "dtype": who.dtype,
        "tp": 1,
        "engine": engine,
        "provenance": asdict(_provenance(who)),
        "status": "fitted from measured steps",
        "assumptions": list(ASSUMED_OF_CPU),
        "error": _error(
            parted,
            blind,
            f"every third of {len(steps)} measured steps, which the fit that is "
            "judged did not see (median, 90th percentile); the file's own saw all",
        ),
        "kv_blocks": CPU_KV_BLOCKS,
        "block_tokens": BLOCK_TOKENS,
        "kv_source": "derived: 64 MiB, chosen; no engine counted them",
        "host": None,
        "links": {},
        "noise": {
            "relative": rounded([noise(folder)])[0],
            "source": f"p10 to p90 of repeated steps, {who.clock}, the median of all",
        },
        "step_time": fit_samples(steps),
    }
    return Composed(content, parted)


def _summed(folder: Path, who: provenance.Provenance, asked: Asked) -> Composed:
    """Of kernels; where whole steps were measured, too, the error is against these."""
    tables = read(folder, asked.gpu, who.dtype)
    engine = f"torch {who.torch}, our kernels, CUDA graphs of every batch"
    wanted = Wanted(model_shape(asked.model), asked.tp, who.dtype, engine, graphs=())
    made = composed(tables, wanted, _provenance(who))
    if asked.tp != 1 or not _has_rows(folder / "steps.csv"):
        return made
    steps = samples(folder)
    parted, own = by_regime(steps), step_time(made.content["step_time"])
    reference = (
        f"all {len(steps)} whole-model steps that were measured; none was fitted"
    )
    content = {**made.content, "error": _error(parted, own, reference)}
    return Composed(content, parted)


def _error(
    parted: Mapping[str, Samples], times: StepTime, reference: str
) -> dict[str, Any]:
    regimes = {name: errors(steps, times) for name, steps in parted.items()}
    return {"regimes": regimes, "reference": reference}


def _provenance(who: provenance.Provenance) -> Provenance:
    clocks = who.gauges.get("clocks.sm")
    shown = None
    if clocks is not None:
        shown = f"SM {clocks[0]:g} / {clocks[1]:g} / {clocks[2]:g} MHz, found, not set"
    return Provenance(
        f"this project, python -m evaluators.kernels, commit {who.commit or 'unknown'}",
        device=who.device,
        clocks=shown,
        driver=who.driver,
        flags=f"torch {who.torch}, {who.clock}",
        date=who.date[:10],
    )


def _steps(folder: Path, mode: str | None) -> dict[str, Any]:
    if not _has_rows(folder / "steps.csv"):
        raise ValueError(f"{folder} has no steps: python -m evaluators.kernels")
    table = read_table(folder / "steps.csv")
    wanted = {"mode", "seconds_p10", "seconds_p50", "seconds_p90", *Batch._fields}
    if wanted - table.keys():
        lacks = ", ".join(sorted(wanted - table.keys()))
        raise ValueError(f"{folder / 'steps.csv'} has no column {lacks}")
    modes = np.unique(table["mode"]).tolist()
    if mode is None:
        mode = "graph" if "graph" in modes else "eager"
    rows = np.flatnonzero(table["mode"] == mode)
    if not len(rows):
        raise ValueError(f"{folder} has no steps {mode!r}; there are {modes}")
    order = np.lexsort([table[name][rows] for name in reversed(Batch._fields)])
    return {column: values[rows[order]] for column, values in table.items()}


def _family(
    folder: Path, name: str, kept: Callable[[Mapping[str, Any]], Any]
) -> dict[str, Any]:
    table = read_table(folder / f"{name}.csv")
    table["seconds"] = table["seconds_p50"]
    rows = kept(table)
    return {column: values[rows] for column, values in table.items()}


def _has_rows(path: Path) -> bool:
    return path.exists() and len(path.read_text(encoding="utf-8").splitlines()) > 1


def _named(folder: Path | None) -> Path:
    if folder is None:
        raise ValueError(
            "own measurements need a folder: python -m evaluators.kernels makes one"
        )
    return folder
