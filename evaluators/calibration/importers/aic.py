"""Reads the op tables of AIConfigurator (NVIDIA, Apache-2.0) as op tables.

They come from the package ``aiconfigurator-core`` where it is installed, or from a
folder that holds ``h100_sxm/gemm/vllm/0.24.0/gemm_perf.parquet`` and so on. Latencies
are milliseconds; head counts are those of one rank; messages are counted in elements.
Reading them needs pyarrow: the extra ``[aic]``.
"""

from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.calibration import held_out
from evaluators.calibration.composed import Composed, Wanted, composed
from evaluators.calibration.config_json import model_shape
from evaluators.calibration.curves import Columns, take
from evaluators.calibration.held_out import ShapeError
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.op_tables import OpTables, op_tables
from evaluators.calibration.parquet_rows import check_values, column, columns
from evaluators.calibration.records import Provenance
from evaluators.calibration.shapes import GPUS, kv_bytes

PACKAGE = "aiconfigurator-core"
VERSION = "0.12.0"
FOLDER = "gpu/aiconfigurator"
INSIDE = "aiconfigurator_core/systems/data"
MS = 1e-3
CACHED = ("bfloat16", "fp8")
DTYPES = ("bfloat16", "fp8", "fp8_block")
"""Of weights; of ``fp8`` there are no tables of latent attention."""

RENAMED = {
    "batch_size": "batch",
    "isl": "length",
    "step": "prefix",
    "num_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "num_gpus": "ranks",
    "message_size": "elements",
    "op_name": "op",
    "num_tokens": "tokens",
    "hidden_size": "hidden",
    "inter_size": "inter",
    "num_experts": "experts",
    "moe_tp_size": "tp",
    "moe_ep_size": "ep",
}
SAME_KERNEL = ("h100-sxm-80g", "h200-sxm-141g")
"""GPUs on which vLLM and SGLang run the same attention kernel."""
MOST_KV_HEADS = 8
"""Of vLLM's tables; SGLang's hold models whose every head has its own."""
OTHER = "SGLang 0.5.14 (FlashAttention 3, as in vLLM)"


class System(NamedTuple):
    """A folder of tables: its GPU, as named in the tables and by us, and versions."""

    gpu: str
    device: str
    vllm: str
    nccl: str


SYSTEMS = {
    "h100_sxm": System("h100-sxm-80g", "NVIDIA H100 80GB HBM3", "0.24.0", "2.29.2"),
    "h200_sxm": System("h200-sxm-141g", "NVIDIA H200", "0.24.0", "2.29.2"),
    "a100_sxm": System("a100-sxm-80g", "NVIDIA A100-SXM4-80GB", "0.14.0", "2.27.3"),
    "b200_sxm": System("b200-sxm-180g", "NVIDIA B200", "0.22.0 to 0.24.0", "2.29.2"),
    "l40s": System("l40s-48g", "NVIDIA L40S", "0.22.0 to 0.24.0", "2.27.3"),
}


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of a model by the kernel sums of vLLM's tables on a system."""
    tables = read(folder, asked.gpu, asked.weights, asked.cached)
    system = SYSTEMS[asked.gpu]
    dtype = asked.weights
    if dtype.startswith("fp8"):
        dtype = f"fp8 weights, KV {asked.cached}"
    model = replace(model_shape(asked.model), kv_bytes=kv_bytes(dtype))
    wanted = Wanted(model, asked.tp, dtype, f"vllm {system.vllm}")
    who = source(asked.gpu)
    is_wide = model.latent is None and model.kv_heads // asked.tp > MOST_KV_HEADS
    if is_wide and system.gpu in SAME_KERNEL:
        who += f"; attention of more than {MOST_KV_HEADS} KV heads timed with {OTHER}"
    return composed(tables, wanted, Provenance(who, system.device))


def shape_errors(folder: Path | None, asked: Asked) -> list[ShapeError]:
    """How well the tables predict shapes left out of them."""
    return held_out.shape_errors(read(folder, asked.gpu, asked.weights, asked.cached))


@lru_cache(maxsize=2)
def read(
    folder: Path | None, gpu: str, dtype: str = "bfloat16", cached: str = "bfloat16"
) -> OpTables:
    """Op tables of vLLM on a system such as ``h100_sxm``, weights of ``dtype``.

    ``folder`` holds the systems; without one the installed package is read. Keys and
    values are cached as ``cached``, those of latent attention in 16 bits. Raises
    ``ValueError`` naming the file that is not what it should be.
    """
    system = _one_of(gpu)
    base = (installed() if folder is None else folder) / gpu
    if dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise ValueError(f"no tables for weights of {dtype!r}; there are {known}")
    if cached not in CACHED:
        known = ", ".join(CACHED)
        raise ValueError(f"no attention over KV of {cached!r}; there are {known}")
    columns = {
        "gemm": _table(_file(base, "gemm"), system, {"gemm_dtype": dtype}),
        "prefill_attention": _attention(base, "context", system, cached),
        "decode_attention": _attention(base, "generation", system, cached),
        "collective": _collectives(base, system),
        "moe": _table(_file(base, "moe"), system, {"moe_dtype": dtype}),
    }
    if dtype != "fp8" and any((base / "mla" / "vllm").glob("*/*_module_perf.parquet")):
        columns["mla_prefill"] = _latent(base, "context", system, dtype)
        columns["mla_decode"] = _latent(base, "generation", system, dtype)
    return op_tables(GPUS[system.gpu], columns)


def installed() -> Path:
    """The folder of systems in the installed package, of the pinned version."""
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError:
        raise ValueError(
            f"{PACKAGE} is not installed: pip install 'adrs-harness[aic]', or name a "
            "folder that holds its systems/data"
        ) from None
    if found.version != VERSION:
        raise ValueError(f"{PACKAGE} is {found.version}; the tables are of {VERSION}")
    return Path(str(found.locate_file(INSIDE)))


def source(gpu: str) -> str:
    """Who measured the tables of a system, in a sentence."""
    system = _one_of(gpu)
    return (
        f"AIConfigurator (NVIDIA, Apache-2.0), package {PACKAGE} {VERSION}: kernels "
        f"timed on one {system.device} with vLLM {system.vllm}, NCCL {system.nccl}"
    )


def _one_of(gpu: str) -> System:
    if gpu not in SYSTEMS:
        known = ", ".join(sorted(SYSTEMS))
        raise ValueError(f"no system {gpu!r} in {PACKAGE}; there are {known}")
    return SYSTEMS[gpu]


def _file(base: Path, family: str, name: str = "", backend: str = "vllm") -> Path:
    """The newest table of a family for a backend."""
    wanted = f"{name or family}_perf.parquet"
    found = sorted((base / family / backend).glob(f"*/{wanted}"), key=_version)
    if not found:
        raise ValueError(f"{base / family / backend} holds no */{wanted}")
    return found[-1]


def _version(path: Path) -> tuple[int, ...]:
    parts = path.parent.name.split(".")
    return tuple(int(part) if part.isdecimal() else -1 for part in parts)


def _attention(base: Path, phase: str, system: System, cached: str) -> Columns:
    """Attention by vLLM, and by SGLang of as many KV heads as vLLM's table lacks.

    Where both run FlashAttention 3, on H100 and H200, theirs is the same kernel.
    """
    own = _phase(base, phase, system, cached, "vllm")
    if system.gpu not in SAME_KERNEL:
        return own
    other = _phase(base, phase, system, cached, "sglang")
    more = take(other, np.asarray(other["kv_heads"], np.int64) > MOST_KV_HEADS)
    return {name: np.concatenate([own[name], more[name]]) for name in own}


def _phase(
    base: Path, phase: str, system: System, cached: str, backend: str
) -> Columns:
    where: dict[str, str | int] = {
        "kv_cache_dtype": cached,
        "window_size": 0,
        "beam_width": 1,
    }
    path = _file(base, "attention", f"{phase}_attention", backend)
    optional = ("window_size", "beam_width")
    table = dict(_table(path, system, where, optional=optional))
    if phase == "generation":
        table["context"] = _sum(table.pop("length"), table.pop("prefix"))
        return table
    return take(table, np.asarray(table["prefix"] == 0))


def _latent(base: Path, phase: str, system: System, dtype: str) -> Columns:
    where: dict[str, str | int] = {
        "kv_cache_dtype": "bfloat16",
        "gemm_type": dtype,
        "tp_size": 1,
    }
    path = _file(base, "mla", f"mla_{phase}_module")
    table = dict(_table(path, system, where))
    if phase == "generation":
        table["context"] = _sum(table.pop("length"), table.pop("prefix"))
    return table


def _sum(
    first: NDArray[np.generic], second: NDArray[np.generic]
) -> NDArray[np.generic]:
    return np.asarray(first, np.int64) + np.asarray(second, np.int64)


def _collectives(base: Path, system: System) -> Columns:
    """All-reduce by vLLM's kernel in a CUDA graph, and all-gather by NCCL."""
    reduce = _table(
        _file(base, "comm", "custom_allreduce"),
        system,
        {"allreduce_dtype": "bfloat16", "backend": "vllm_graph"},
    )
    gather = _table(
        _file(base, "comm", "nccl", "nccl"),
        system,
        {"nccl_dtype": "half", "op_name": "all_gather"},
    )
    names = ("op", "ranks", "elements", "seconds")
    return {name: np.concatenate([reduce[name], gather[name]]) for name in names}


def _table(
    path: Path,
    system: System,
    where: dict[str, str | int] | dict[str, str],
    optional: tuple[str, ...] = (),
) -> Columns:
    """Rows of a file that are so in every column of ``where``, in our names."""
    found = columns(path)
    rows = np.ones(len(next(iter(found.values()))), dtype=bool)
    for name, value in where.items():
        if name in found or name not in optional:
            rows &= np.asarray(column(path, found, name) == value)
    devices = set(map(str, column(path, found, "device").tolist()))
    if devices != {system.device}:
        raise ValueError(
            f"{path}: measured on {sorted(devices)}; expected {system.device}"
        )
    seconds = np.asarray(column(path, found, "latency"), float) * MS
    if not rows.any():
        raise ValueError(f"{path}: no row is {where}")
    named = {RENAMED.get(name, name): values for name, values in found.items()}
    table = take({**named, "seconds": seconds}, rows)
    check_values(path, table)
    return table
