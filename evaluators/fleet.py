"""Several engines that share the arrivals: who they are, and what goes between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from evaluators.calibration.copy_curve import CopyCurve
from evaluators.calibration.step_time import Batch, StepTime
from evaluators.workloads.trace import PS_PER_S

if TYPE_CHECKING:  # a scenario may have a fleet
    from evaluators.scenario import Deployment

Role = Literal["mixed", "prefill", "decode"]
Rule = Literal["round_robin", "least_outstanding"]
CacheReports = Literal["as_reported", "own_record", "exact"]
ROLES: tuple[Role, ...] = ("mixed", "prefill", "decode")


@dataclass(frozen=True, slots=True)
class Member:
    """One replica: its engine, how fast it is, and which phases it serves.

    A ``prefill`` replica computes prompts and emits the first token; its KV then goes
    to a ``decode`` replica, which emits the others. A ``mixed`` one does both.
    """

    deployment: "Deployment"
    step_time: StepTime
    role: Role = "mixed"

    @property
    def tokens_per_s(self) -> float:
        """Prompt tokens a second in full steps that nobody decodes in."""
        step, most = self.step_time, self.deployment.max_step_tokens
        return most / (duration_ps(step, most) / PS_PER_S)


@dataclass(frozen=True, slots=True)
class Loss:
    """A replica is gone from ``at_s`` on, and back, empty, at ``back_s`` (None: never).

    Its requests lose their KV and are routed again.
    """

    replica: int
    at_s: float
    back_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """Replicas behind one router.

    Replicas report their state at all multiples of ``report_delay_s``, and the router
    sees the last report; with 0 it sees them as they are. What it knows of their caches
    is ``as_reported``, too (KV events, as in NVIDIA Dynamo and llm-d's precise prefix
    routing), or its ``own_record`` of the prompts that it sent, in as much memory as
    each replica has (SGLang's router, llm-d's default), or ``exact``, as no router has
    it. ``probe_s`` is the round trip of a probe that is rejected. ``rule`` routes where
    no policy does. ``kv_bytes`` is the KV memory of a token; ``wire`` says how long a
    copy takes from one replica to another, each of which sends one at a time and
    receives one at a time. Without ``wire`` nothing moves. ``contiguous`` says that a
    request's KV travels in one piece, and not block by block.
    """

    members: tuple[Member, ...]
    report_delay_s: float = 0.0
    probe_s: float = 0.001
    losses: tuple[Loss, ...] = ()
    rule: Rule = "round_robin"
    wire: CopyCurve | None = None
    kv_bytes: int = 0
    contiguous: bool = True
    cache_reports: CacheReports = "as_reported"

    @property
    def lists_caches(self) -> bool:
        """Whether the router hears of the blocks in each cache with the reports."""
        return self.cache_reports == "as_reported" and self.report_delay_s > 0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a fleet that cannot serve every request."""
        if not self.members:
            raise ValueError("a fleet without members serves nobody")
        if min(self.report_delay_s, self.probe_s) < 0:
            raise ValueError("report_delay_s and probe_s must not be negative")
        if self.cache_reports not in get_args(CacheReports):
            raise ValueError(
                f"cache_reports is {self.cache_reports!r}; expected one of "
                f"{', '.join(get_args(CacheReports))}"
            )
        roles = {member.role for member in self.members}
        if len(roles) < 2 and "mixed" not in roles:
            raise ValueError(
                f"all members are {roles.pop()} replicas; nobody does the other phase"
            )
        if ("prefill" in roles) != ("decode" in roles):
            raise ValueError("prefill and decode replicas need each other")
        needs_wire = "prefill" in roles or self.wire is not None
        if needs_wire and (self.wire is None or self.kv_bytes < 1):
            raise ValueError("KV that moves needs a wire and kv_bytes above 0")
        if len({member.deployment.block_tokens for member in self.members}) > 1:
            raise ValueError("the members of a fleet need KV blocks of one size")
        self._check_losses()

    def _check_losses(self) -> None:
        gone: set[int] = set()
        ends: dict[int, float] = {}
        for loss in sorted(self.losses, key=lambda each: each.at_s):
            if not 0 <= loss.replica < len(self.members) or loss.at_s < 0:
                raise ValueError(f"{loss} is not of a member, or before time 0")
            back = float("inf") if loss.back_s is None else loss.back_s
            if back <= loss.at_s or loss.at_s < ends.get(loss.replica, 0.0):
                raise ValueError(f"{loss} ends before it begins, or within another")
            ends[loss.replica] = back
            if loss.back_s is None:
                gone.add(loss.replica)
        left = {m.role for i, m in enumerate(self.members) if i not in gone}
        if "mixed" not in left and not {"prefill", "decode"} <= left:
            raise ValueError("after the losses nobody is left to serve a request")

    @property
    def most_blocks(self) -> int:
        """KV blocks of the replica with the largest memory."""
        return max(member.deployment.kv_blocks for member in self.members)


def assumed_wire(bytes_per_s: float, launch_s: float = 1e-6) -> CopyCurve:
    """A wire of that bandwidth and time to launch a copy, which nobody measured."""
    launch_ps = max(1, round(launch_s * PS_PER_S))
    second = round(bytes_per_s), launch_ps + PS_PER_S
    return CopyCurve("assumed", "assumed", "nobody", ((0, launch_ps), second))


def duration_ps(step: StepTime, tokens: int) -> int:
    """Picoseconds of a step that computes so many tokens of a new prompt."""
    return step.duration_ps(Batch(tokens, tokens * tokens, 0, 0, 0, 1, tokens))
