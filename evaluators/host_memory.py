"""Memory beside the GPU that KV can be moved to instead of being recomputed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from evaluators.calibration.copy_curve import CopyCurve, load_curve
from evaluators.calibration.shapes import ModelShape

Writes = Literal["back", "through"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A memory of so many bytes below another one, and the link that joins the two."""

    name: str
    size_bytes: int
    curve: CopyCurve
    is_duplex: bool = False

    def __post_init__(self) -> None:
        """Raise ``ValueError`` when nothing fits."""
        if self.size_bytes < 1:
            raise ValueError(
                f"tier {self.name}: size_bytes is {self.size_bytes}; expected above 0"
            )


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Host memory of one engine, and how its KV blocks get there and back.

    ``blocks`` fit in it, of ``block_bytes`` each. A contiguous run of blocks is moved
    in ``run_copies`` copies (vLLM keeps keys and values of every layer apart: two for
    each layer), each as long as ``curve`` says. A run is a single block when
    ``group_blocks`` is 1, as vLLM's swapping moves them; with more, memory is given in
    contiguous groups of so many blocks (FastSwitch 2024), in the host as on the GPU.

    With ``overlaps``, steps go on while copies move, and wait only for memory that a
    copy has not yet left; else each step begins when all copies have landed, as in
    vLLM's first engine. ``is_duplex`` says that the two directions do not slow each
    other down. What host memory has no room for moves on to the tiers ``below`` it, the
    fastest first (CXL memory, SSD, a remote host).

    With prefix caching the host is a tier below the GPU's cache, the longest unused
    block making room. ``writes`` are the names of SGLang's ``--hicache-write-policy``:
    "back" copies a block when the GPU evicts it, "through" as soon as it is full, as
    vLLM's offloading connector does, so that eviction need not wait. No ``blocks`` are
    no host memory.
    """

    blocks: int
    block_bytes: int
    curve: CopyCurve
    run_copies: int = 1
    group_blocks: int = 1
    overlaps: bool = False
    is_duplex: bool = False
    below: tuple[Tier, ...] = ()
    writes: Writes = "back"

    @property
    def block_copy_ps(self) -> float:
        """Picoseconds to move a block within a run as long as they come."""
        run_bytes = self.group_blocks * self.block_bytes
        copy_ps = self.curve.copy_ps(-(-run_bytes // self.run_copies))
        return self.run_copies * copy_ps / self.group_blocks

    @property
    def curves(self) -> tuple[CopyCurve, ...]:
        """Curves of all links, from the GPU down."""
        return (self.curve, *(tier.curve for tier in self.below))

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming the first size that is too small."""
        least = {"blocks": 0, "block_bytes": 1, "run_copies": 1, "group_blocks": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(
                    f"host memory: {name} is {getattr(self, name)}; expected {low} or "
                    "more"
                )
        if self.writes not in get_args(Writes):
            raise ValueError(
                f"host memory: writes is {self.writes!r}; expected one of "
                f"{', '.join(get_args(Writes))}"
            )


def host_memory(
    model: ModelShape,
    block_tokens: int,
    gigabytes: float,
    curve: str,
    below: Sequence[Mapping[str, Any]] = (),
    run_copies: int | None = None,
    **switches: Any,  # noqa: ANN401 (from YAML)
) -> HostMemory:
    """So many gigabytes for the KV of a model, behind a link of a shipped curve.

    Tiers ``below`` have a name, gigabytes and a curve, too. Without ``run_copies`` keys
    and values of every layer lie apart. The others are those of ``HostMemory``.
    Raises ``ValueError`` naming what is unknown or too small.
    """
    block_bytes = block_tokens * model.kv_token_bytes
    blocks = int(gigabytes * 10**9) // block_bytes
    if blocks < 1:
        raise ValueError(
            f"host memory: blocks is {blocks}; {gigabytes} gigabytes hold no block of "
            f"{block_bytes} bytes"
        )
    return HostMemory(
        blocks=blocks,
        block_bytes=block_bytes,
        curve=load_curve(curve),
        run_copies=2 * model.layers if run_copies is None else run_copies,
        below=tuple(
            Tier(t["name"], int(t["gigabytes"] * 10**9), load_curve(t["curve"]))
            for t in below
        ),
        **switches,
    )
