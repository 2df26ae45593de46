"""What a fleet asks of an engine, and what they tell each other."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.host.copies import Copies
from evaluators.sim.ledger import Ledger
from evaluators.sim.recorder import Recorder
from evaluators.workloads.trace import FOREVER_PS

NEVER = FOREVER_PS
"""A time in picoseconds that no simulation reaches."""


class Load(NamedTuple):
    """State of a replica between two steps, or within one as it began."""

    running: int
    waiting: int
    queued_tokens: int
    waiting_blocks: int
    free_blocks: int
    decoding: int
    context_tokens: int
    last_step_ps: int


NO_LOAD = Load(0, 0, 0, 0, 0, 0, 0, 0)


class Carried(NamedTuple):
    """A request between two replicas, or about to go, and how far it has come.

    Without its KV, its next token needs its prompt and its generated tokens computed.
    """

    row: int
    generated: int
    last_token_ps: int


class Movable(Protocol):
    """What a fleet asks of an engine to move requests away from it and to it."""

    @property
    def step_end_ps(self) -> int | None:
        """When the step in progress ends; None between two steps."""
        ...

    def decoding(self) -> list[Carried]:
        """Requests past their prompt with their KV, in running order."""
        ...

    def leaves_after_prompt(self, row: int) -> None:
        """The request, to be submitted, goes on elsewhere after its next token."""
        ...

    def how_far(self, row: int) -> Carried | None:
        """How far a request past its prompt is; None if it is none any more."""
        ...

    def reserve(self, row: int, blocks: int) -> bool:
        """Keep so many blocks in all for a request to come; False if there are none."""
        ...

    def cancel(self, row: int) -> None:
        """A request for which memory was reserved does not come."""
        ...

    def take(self, row: int) -> None:
        """Between two steps: a request past its prompt leaves, with its memory."""
        ...

    def let_go(self, row: int) -> None:
        """The KV of a request that left after its prompt has arrived elsewhere."""
        ...

    def give(self, request: Carried, at_ps: int) -> None:
        """A request goes on here, its KV in the memory reserved for it."""
        ...


class Replica(Movable, Protocol):
    """What a fleet asks of an engine, whichever it is."""

    @property
    def record(self) -> Recorder:
        """Its steps and decisions."""
        ...

    @property
    def cache(self) -> Cache | None:
        """Its KV memory, where it caches prefixes."""
        ...

    @property
    def questions(self) -> int:
        """Questions that its own policies were asked."""
        ...

    @property
    def copies(self) -> Copies | None:
        """What went to its host memory and back; None if it has none."""
        ...

    @property
    def peak_blocks(self) -> int:
        """Most KV blocks that were in use."""
        ...

    @property
    def held_blocks(self) -> int:
        """KV blocks in use."""
        ...

    @property
    def finished(self) -> list[int]:
        """Rows that ended, in order; the caller clears them."""
        ...

    def submit(self, row: int, at_ps: int) -> None:
        """A request is here from then on; not before a time that was advanced to."""
        ...

    def resubmit(self, request: Carried, at_ps: int) -> None:
        """The same for a request that was elsewhere before."""
        ...

    def advance(self, until_ps: int | None) -> None:
        """Take every step that ends by then, and begin the one that does not."""
        ...

    def earliest_finish_ps(self) -> int | None:
        """Time before which no request finishes, as things are; None when idle."""
        ...

    @property
    def quiet_until_ps(self) -> int:
        """Time before which advancing changes nothing, having advanced just now."""
        ...

    @property
    def load(self) -> Load:
        """Its state as far as it has advanced."""
        ...

    def could_start(self, row: int, generated: int) -> bool:
        """Whether no other prompt is in its way, and a slot and memory are free."""
        ...

    def abandon(self) -> list[Carried]:
        """Stop for ever; the requests that were here, in order of arrival."""
        ...


Make = Callable[[Scenario, Ledger], Replica]
"""Makes the engine of one member's own scenario, on the ledger of all."""
