"""The questions that a memory asks an eviction policy, and the checks of answers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluators.manners import Manner, heard, told
from evaluators.opaque import opaque_ids
from evaluators.problem import Hook
from evaluators.sim.asking import called
from evaluators.sim.cache.owners import Owners
from evaluators.sim.hooks import checked_keys
from evaluators.views import Ints
from evaluators.views_blocks import Blocks, Events, events
from evaluators.workloads.trace import PS_PER_S

CANDIDATES = 256
"""Blocks that a question shows at most where ``rescore`` is "always"."""
VICTIMS = 64
"""Blocks that one such question evicts at most."""

HOOKS = (
    Hook(
        "on_evict",
        ("evicted",),
        "nothing",
        "Told of blocks that were evicted since the last question, in order.",
        "with the next keep_value, before on_access",
    ),
    Hook(
        "on_access",
        ("accessed",),
        "nothing",
        "Told of blocks that were found (hit = 1) or are new (hit = 0) since the last "
        "question, in order.",
        "with the next keep_value, before it",
    ),
    Hook(
        "keep_value",
        ("blocks", "now_s"),
        "values",
        "Worth of keeping each block, shape (n,); the lowest is evicted first, among "
        "equals the one let go of first.",
        "when memory is short and no unused block is left. With rescore = 'touch' "
        "(the default): for every block let go of since the last question; a value "
        "holds until its block is used again. With rescore = 'always': for the 256 "
        "longest unused blocks; again once 64 of them have gone",
    ),
)
MANNERS = (
    Manner(
        "rescore",
        "touch",
        ("touch", "always"),
        expected="'touch' (value a block when it was used) or 'always'",
    ),
)


class Facts(NamedTuple):
    """What is known of a block that nobody holds."""

    content: int
    depth: int
    children: int
    hits: int
    owner: int
    inserted_ps: int
    last_used_ps: int


class Evictor:
    """A policy's opinion of blocks, every answer checked and every question counted.

    Contents go out as opaque ids in the order in which they first appeared, so that an
    id tells nothing of the trace. Raises ``PolicyError`` for a policy's fault.
    """

    def __init__(self, policy: object, owners: Owners) -> None:
        self.questions = 0
        self.owners = owners
        self._hooks: dict[str, Any] = {
            h.name: getattr(policy, h.name, None) for h in HOOKS
        }
        self._together = getattr(policy, "ask_together", None)
        self.rescores = heard(told(policy, MANNERS), MANNERS)["rescore"] == "always"
        self._seen: dict[int, int] = {}
        self._opaque: Ints = opaque_ids(1024, owners.id_key)
        self._accessed = _Batch()
        self._evicted = _Batch()

    @property
    def decides(self) -> bool:
        """Whether the policy values blocks; if not, the engine's own order holds."""
        return self._hooks["keep_value"] is not None

    def accessed(self, content: int, at_ps: int, *, is_hit: bool) -> None:
        """A block was found, or let go of for the first time."""
        if self._hooks["on_access"]:
            self._accessed.add(self._number(content), at_ps, is_hit)

    def evicted(self, content: int, at_ps: int) -> None:
        """A block lost its content."""
        if self._hooks["on_evict"]:
            self._evicted.add(self._number(content), at_ps, False)

    def values(self, facts: Ints, now_ps: int) -> list[float]:
        """The policy's values of blocks, after it heard what happened before.

        ``facts`` has a column a block, its rows in the order of ``Facts``.
        """
        view = self._blocks(facts)
        views: dict[str, Any] = {"blocks": view, "now_s": now_ps / PS_PER_S}
        for name, batch in (("evicted", self._evicted), ("accessed", self._accessed)):
            if batch.numbers:
                views[name] = self._events(batch)
        asked = [h for h in HOOKS if set(h.arguments) <= views.keys()]
        self.questions += len(asked)
        if self._together and len(asked) > 1:
            answer = self._together([hook.name for hook in asked], views)[-1]
        else:
            answers = [
                called(h.name, self._hooks[h.name], *(views[n] for n in h.arguments))
                for h in asked
            ]
            answer = answers[-1]
        return list(checked_keys(answer, len(view), "keep_value").tolist())

    def _number(self, content: int) -> int:
        return self._seen.setdefault(content, len(self._seen))

    def _ids(self, numbers: Sequence[int]) -> Ints:
        if len(self._seen) > len(self._opaque):
            n, key = 2 * len(self._seen), self.owners.id_key
            self._opaque = opaque_ids(n, key)
        ids: Ints = self._opaque[np.array(numbers, dtype=np.int64)]
        return ids

    def _blocks(self, facts: Ints) -> Blocks:
        ints = np.empty((6, facts.shape[1]), dtype=np.int64)
        ints[0] = self._ids([self._number(content) for content in facts[0].tolist()])
        ints[1:4] = facts[1:4]
        ints[4:6] = self.owners.known[:, facts[4]]
        floats = np.empty((3, facts.shape[1]))
        floats[:2] = facts[5:7] / PS_PER_S
        floats[2] = self.owners.recompute_s(facts[1])
        return Blocks(ints, floats)

    def _events(self, batch: "_Batch") -> Events:
        at_s = np.array(batch.at_ps, dtype=np.int64) / PS_PER_S
        found = events(self._ids(batch.numbers), batch.hits, at_s)
        batch.clear()
        return found


class _Batch:
    """Events that the policy has not heard of yet."""

    __slots__ = ("at_ps", "hits", "numbers")

    def __init__(self) -> None:
        self.clear()

    def add(self, number: int, at_ps: int, is_hit: bool) -> None:
        self.numbers.append(number)
        self.hits.append(int(is_hit))
        self.at_ps.append(at_ps)

    def clear(self) -> None:
        self.numbers: list[int] = []
        self.hits: list[int] = []
        self.at_ps: list[int] = []
