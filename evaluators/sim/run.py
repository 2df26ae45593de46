"""What happened in a simulation: times of every request, and every step taken."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from evaluators.sim.host.copies import Copies
from evaluators.views import Ints


class Decision(NamedTuple):
    """A request was admitted to or preempted from the running set."""

    at_ps: int
    kind: Literal["admit", "preempt"]
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Runs of equal-shaped engine steps, in order; columns of shape (n_runs,), int64.

    Run i starts at ``start_ps`` and holds ``count`` steps that last ``first_ps``,
    ``first_ps + growth_ps``, ``first_ps + 2 * growth_ps`` and so on. Each of its steps
    emits ``gaps`` tokens whose request emitted one at the end of the step before, too,
    so it is ``gaps`` times an inter-token gap. ``prefill_tokens`` and ``decodes``
    are per step.
    """

    start_ps: Ints
    count: Ints
    first_ps: Ints
    growth_ps: Ints
    gaps: Ints
    decodes: Ints
    prefill_tokens: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Times of every request, columns of shape (n,) in trace order; -1 means never.

    ``arrived_ps`` is when it came, which a session's earlier requests decide.
    ``longest_gap_ps`` is the longest time between two tokens of the request, 0 with a
    single token. ``stall_ps`` is the time between a token and the next one across
    preemptions, summed. ``hit_tokens`` are those found in the prefix cache, over all
    its admissions. A rejected request (larger than the whole KV memory, or following
    one) has -1 everywhere and is in ``rejected``. ``broken_gaps_ps`` are the gaps that
    are not one step long (across a preemption or a pause). ``steps`` are those of all
    engines, ``steps_of`` those of each, ``replica`` says which engine finished it;
    ``copies`` what went to host memory and back, None if there is none. ``outlived``
    are rows that were preempted when their last token was on its way already.
    """

    arrived_ps: Ints
    admitted_ps: Ints
    first_token_ps: Ints
    finished_ps: Ints
    longest_gap_ps: Ints
    preemptions: Ints
    stall_ps: Ints
    hit_tokens: Ints
    broken_gaps_ps: Ints
    steps: Steps
    decisions: tuple[Decision, ...]
    rejected: tuple[int, ...]
    questions: int
    peak_blocks: int
    end_blocks: int
    steps_of: tuple[Steps, ...] = ()
    replica: Ints | None = None
    copies: Copies | None = None
    outlived: tuple[int, ...] = ()

    @property
    def iterations(self) -> int:
        """Engine steps in all."""
        return int(self.steps.count.sum())
