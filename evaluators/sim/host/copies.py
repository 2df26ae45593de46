"""What was moved between GPUs and what lies outside them in a run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluators.views import Ints


class Copies(NamedTuple):
    """What was moved between GPU and host in a run.

    ``swaps`` preemptions moved KV out instead of losing it, of which ``lost`` ones went
    with their replica; ``refused`` copies were wanted and found no room.
    ``spared_bytes`` were in the host already when they would have been moved out.
    ``tiers`` are the bytes that went down to and up from each tier below. The step that
    starts at ``stalled_at_ps[i]`` waited ``stall_ps[i]`` for copies. ``end_blocks`` are
    those that requests still have in the host, a cache's own left out. ``kept_laws``
    says that no link beat its bandwidth, and that every memory held what came and had
    not gone. ``assumed`` names the copy curves that nobody has measured. ``hit_tokens``
    were found in the host and below, and ``load_ps`` is what their copies took.
    """

    swaps: int
    refused: int
    out_bytes: int
    back_bytes: int
    spared_bytes: int
    tiers: dict[str, tuple[int, int]]
    stalled_at_ps: Ints
    stall_ps: Ints
    peak_blocks: int
    end_blocks: int
    kept_laws: bool
    assumed: tuple[str, ...]
    hit_tokens: int = 0
    load_ps: int = 0
    lost: int = 0


def stall_columns(stalls: Sequence[tuple[int, int]]) -> tuple[Ints, Ints]:
    """When steps began to wait, and how long, picoseconds."""
    at_ps, lasted_ps = np.array(stalls, dtype=np.int64).reshape(-1, 2).T
    return at_ps, lasted_ps


def together(parts: Sequence[Copies]) -> Copies | None:
    """What several engines moved; the peak is the largest of them, None of none."""
    if not parts:
        return None
    tiers: dict[str, tuple[int, int]] = {}
    for part in parts:
        for name, (down, up) in part.tiers.items():
            before = tiers.get(name, (0, 0))
            tiers[name] = before[0] + down, before[1] + up
    return Copies(
        swaps=sum(part.swaps for part in parts),
        refused=sum(part.refused for part in parts),
        out_bytes=sum(part.out_bytes for part in parts),
        back_bytes=sum(part.back_bytes for part in parts),
        spared_bytes=sum(part.spared_bytes for part in parts),
        tiers=tiers,
        stalled_at_ps=np.concatenate([part.stalled_at_ps for part in parts]),
        stall_ps=np.concatenate([part.stall_ps for part in parts]),
        peak_blocks=max(part.peak_blocks for part in parts),
        end_blocks=sum(part.end_blocks for part in parts),
        kept_laws=all(part.kept_laws for part in parts),
        assumed=tuple(sorted({name for part in parts for name in part.assumed})),
        hit_tokens=sum(part.hit_tokens for part in parts),
        load_ps=sum(part.load_ps for part in parts),
        lost=sum(part.lost for part in parts),
    )
