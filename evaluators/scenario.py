"""One exam: a drawn workload on a deployment with a calibration and objectives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.fleet import Fleet
from evaluators.host_memory import HostMemory
from evaluators.workloads.trace import Trace

Split = Literal["train", "validation", "held_out"]
Half = Literal["picking", "reporting"]
"""Of validation: one half picks a winner, the other alone reports its gain."""


def split_of(part: Split | Half) -> Split:
    """The split that a half is of, or the split itself."""
    return "validation" if part in get_args(Half) else cast(Split, part)


MOST_BLOCKS, MOST_OF_A_STEP = 1 << 31, 1 << 20
"""Beyond these no step time has a table, and no sum is sure to fit."""


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """Objectives of a service class, in seconds.

    ``gap_s`` bounds the longest gap between two tokens of one request. ``source`` says
    where the objectives come from.
    """

    name: str
    ttft_s: float
    tpot_s: float
    gap_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """One engine instance, with the names and defaults of vLLM 0.32 where it has them.

    ``kv_blocks`` is a measured input, never derived. ``max_running`` is
    ``max_num_seqs``; ``max_step_tokens`` is ``max_num_batched_tokens``;
    ``reserve_full_prompt`` is ``scheduler_reserve_full_isl``: admission waits until the
    whole prompt would fit. ``prefix_caching`` keeps the blocks of finished requests
    until their memory is needed. ``parents_outlive_children`` evicts only blocks that
    no block in memory continues, as a radix tree does; vLLM's pool does not.
    ``host_memory`` keeps the KV of preempted requests, which recompute without it; with
    prefix caching it keeps what is evicted, and is searched behind the GPU's memory.
    ``async_scheduling`` decides each step when the one before begins, as vLLM's
    asynchronous scheduler does; without it, when the one before has ended.
    """

    name: str
    kv_blocks: int
    block_tokens: int = 16
    max_running: int = 256
    max_step_tokens: int = 2048
    reserve_full_prompt: bool = True
    prefix_caching: bool = False
    parents_outlive_children: bool = False
    host_memory: HostMemory | None = None
    async_scheduling: bool = False

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming the first size below 1."""
        for name in ("kv_blocks", "block_tokens", "max_running", "max_step_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"deployment {self.name}: {name} is {getattr(self, name)}; "
                    "expected at least 1"
                )
            most = MOST_BLOCKS if name == "kv_blocks" else MOST_OF_A_STEP
            if getattr(self, name) > most:
                raise ValueError(
                    f"deployment {self.name}: {name} is {getattr(self, name)}; "
                    f"expected at most {most}"
                )
        if self.async_scheduling and self.host_memory:
            raise ValueError(
                f"deployment {self.name}: async_scheduling is on; an engine with "
                "host_memory decides a step when the one before has ended, so switch "
                "one of them off"
            )
        host = self.host_memory if self.prefix_caching else None
        if host and host.group_blocks > 1:
            raise ValueError(
                f"deployment {self.name}: group_blocks is {host.group_blocks}; blocks "
                "that requests share lie one by one, so prefix caching needs 1"
            )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Scenario:
    """A trace to be served, and everything that decides how it is served and judged.

    ``regime`` is the load as a multiple of the reference policy's capacity;
    ``calibration`` names the step-time model and whether it was measured;
    ``prediction_error`` is the standard deviation of log(predicted / true output);
    ``n_tenants`` is how many customers the service has, 0 for those in the trace.
    ``companions`` are texts of the policies that accompany the judged one, by problem;
    the engine's own rule decides where there is none. With a ``fleet``, its members
    serve the trace, and ``deployment`` and ``step_time`` are those of its first.
    ``id_key`` keys the ids that policies see.
    """

    name: str
    split: Split
    regime: float
    trace: Trace
    deployment: Deployment
    step_time: StepTime
    classes: tuple[ServiceClass, ...]
    calibration: str
    prediction_error: float = 0.0
    n_tenants: int = 0
    companions: Mapping[str, str] = field(default_factory=dict)
    fleet: Fleet | None = None
    id_key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a class without objectives, or what is not there."""
        if self.trace.n_classes > len(self.classes):
            raise ValueError(
                f"scenario {self.name}: the trace has {self.trace.n_classes} service "
                f"classes but objectives are given for {len(self.classes)}"
            )
        members = self.fleet.members if self.fleet else ()
        if any(member.deployment.async_scheduling for member in members):
            raise ValueError(
                f"scenario {self.name}: a replica has async_scheduling, which only an "
                "engine that serves alone can have; switch it off, or leave the fleet"
            )

    def blocks_for(self, tokens: np.ndarray) -> np.ndarray:
        """KV blocks that hold ``tokens`` tokens each, same shape."""
        return -(-tokens // self.deployment.block_tokens)
