"""What a router knows of the caches: as they are, as reported, or what it sent."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

from evaluators.fleet import Fleet
from evaluators.scenario import Scenario
from evaluators.sim.cache.contents import Contents
from evaluators.sim.cluster.replica import Replica
from evaluators.workloads.trace import Trace

Engines = Sequence[Replica | None]
"""The engines of a fleet by index, None while one is down; the fleet changes it."""


class Knowledge(Protocol):
    """What a router believes that each replica has in memory."""

    def report(self) -> None:
        """All replicas report, having advanced to this time."""
        ...

    def send(self, row: int, replica: int) -> None:
        """The router sends a request to a replica."""
        ...

    def lose(self, replica: int) -> None:
        """A replica is gone, and its memory with it."""
        ...

    def cached_tokens(self, row: int) -> list[int]:
        """Leading prompt tokens of a request in the memory of each replica."""
        ...


def knowledge(scenario: Scenario, fleet: Fleet, engines: Engines) -> Knowledge:
    """What the router of a fleet knows; reports without delay are exact."""
    if not any(member.deployment.prefix_caching for member in fleet.members):
        return Nothing(len(fleet.members))
    if fleet.cache_reports == "own_record":
        return OwnRecord(scenario.trace, fleet)
    kind = Reported if fleet.lists_caches else Exact
    return kind(scenario.trace, fleet, engines)


class Nothing:
    """Replicas that cache nothing."""

    def __init__(self, replicas: int) -> None:
        self._no_tokens = [0] * replicas

    def report(self) -> None:
        """See ``Knowledge``."""

    def send(self, row: int, replica: int) -> None:
        """See ``Knowledge``."""

    def lose(self, replica: int) -> None:
        """See ``Knowledge``."""

    def cached_tokens(self, row: int) -> list[int]:
        """See ``Knowledge``."""
        del row
        return self._no_tokens


class Exact(Nothing):
    """The caches as they are at the moment of the question."""

    def __init__(self, trace: Trace, fleet: Fleet, engines: Engines) -> None:
        super().__init__(len(fleet.members))
        self._engines = engines
        self._block_tokens = fleet.members[0].deployment.block_tokens
        self._prompt_tokens: list[int] = trace.prompt_tokens.tolist()

    def cached_tokens(self, row: int) -> list[int]:
        """See ``Knowledge``."""
        prompt, size = self._prompt_tokens[row], self._block_tokens
        return [
            engine.cache.hits(row, prompt).blocks * size
            if engine and engine.cache
            else 0
            for engine in self._engines
        ]


class Prompts:
    """What the blocks of prompts hold, as long as a router asks about them."""

    def __init__(self, trace: Trace, fleet: Fleet) -> None:
        self.block_tokens = fleet.members[0].deployment.block_tokens
        self._contents = Contents(trace.prefixes, len(trace), self.block_tokens)
        self._prompt_tokens: list[int] = trace.prompt_tokens.tolist()

    def sent(self, row: int) -> list[int]:
        """Contents of the full blocks of a prompt that is not asked about any more."""
        found = self._contents.first(row, self._prompt_tokens[row] // self.block_tokens)
        self._contents.forget(row)
        return found

    def leading_tokens(
        self, row: int, memories: Iterable[set[int] | OrderedDict[int, None]]
    ) -> list[int]:
        """Leading tokens in each memory; at least one is left to compute."""
        most = (self._prompt_tokens[row] - 1) // self.block_tokens
        contents = self._contents.first(row, most)
        found = []
        for memory in memories:
            blocks = 0
            for content in contents:
                if content not in memory:
                    break
                blocks += 1
            found.append(blocks * self.block_tokens)
        return found


class Reported:
    """The caches as of the last report, which lists what came and left since."""

    def __init__(self, trace: Trace, fleet: Fleet, engines: Engines) -> None:
        self._engines, self._prompts = engines, Prompts(trace, fleet)
        self._known: list[set[int]] = [set() for _ in fleet.members]

    def report(self) -> None:
        """See ``Knowledge``."""
        for engine, known in zip(self._engines, self._known, strict=True):
            if engine and engine.cache:
                _apply(known, engine.cache.changes())

    def send(self, row: int, replica: int) -> None:
        """See ``Knowledge``."""
        self._prompts.sent(row)

    def lose(self, replica: int) -> None:
        """See ``Knowledge``."""
        self._known[replica].clear()

    def cached_tokens(self, row: int) -> list[int]:
        """See ``Knowledge``."""
        return self._prompts.leading_tokens(row, self._known)


def _apply(known: set[int], changes: Iterable[int]) -> None:
    """Every change of a content takes it in or out."""
    for content in changes:
        if content in known:
            known.remove(content)
        else:
            known.add(content)


class OwnRecord:
    """What the router sent: of each replica as many blocks as its memory holds.

    The longest unsent goes first, of one prompt its end before its beginning. Answers,
    and what a replica computed for nobody or evicted otherwise, it does not know.
    """

    def __init__(self, trace: Trace, fleet: Fleet) -> None:
        self._prompts = Prompts(trace, fleet)
        self._most = [
            m.deployment.kv_blocks if m.deployment.prefix_caching else 0
            for m in fleet.members
        ]
        self._records = [OrderedDict[int, None]() for _ in fleet.members]

    def report(self) -> None:
        """See ``Knowledge``."""

    def send(self, row: int, replica: int) -> None:
        """See ``Knowledge``."""
        record = self._records[replica]
        for content in reversed(self._prompts.sent(row)):
            record[content] = None
            record.move_to_end(content)
        while len(record) > self._most[replica]:
            record.popitem(last=False)

    def lose(self, replica: int) -> None:
        """See ``Knowledge``."""
        self._records[replica].clear()

    def cached_tokens(self, row: int) -> list[int]:
        """See ``Knowledge``."""
        return self._prompts.leading_tokens(row, self._records)
