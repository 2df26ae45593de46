"""Real parts of a loop small enough for a test: a problem, a judge and a model."""

import hashlib
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from adrs.archive import Archive
from adrs.budget import Budget, Limits
from adrs.campaign import Campaign, Search
from adrs.llm.model import Reply
from adrs.records import Header
from evaluators.evaluation import Evaluation, Failure, Outcome
from evaluators.manners import Manner
from evaluators.problem import Hook
from evaluators.views import Column

ROOT = Path(__file__).parents[1]
HEADER = Header("knob", 7, "c0ffee")
SEEDS = {"low": "class Low:\n    knob = 1\n    rank = None\n"}
SOURCE = "class K:\n    knob = {}\n    rank = None\n"
SCENARIOS = ("calm", "busy")


@dataclass(frozen=True)
class Knob:
    """A problem whose policies are one number, best at 50."""

    name: str = "knob"
    brief: str = "Turn the knob."
    hooks: tuple[Hook, ...] = (
        Hook("rank", ("waiting",), "keys", "Lowest first.", "on arrival"),
    )
    manners: tuple[Manner, ...] = ()
    headline: tuple[str, ...] = ("knob",)
    views: Mapping[str, tuple[Column, ...]] = field(
        default_factory=lambda: {"waiting": (Column("arrived_s", "arrival time"),)}
    )


def judge(source):
    knob = float(re.search(r"knob = (\d+)", source).group(1))
    if knob % 10 == 3:
        failure = Failure("exception", "three is unlucky")
        return Evaluation((Outcome("calm", 1.0, 0.0, {}, "", failure),) * 2, "none")
    scores = (1 / (1 + abs(knob - 50)), 1 / (1 + abs(knob - 60)))
    return Evaluation(
        tuple(
            Outcome(name, 1.0, score, {"knob": knob}, f"knob was {knob}")
            for name, score in zip(SCENARIOS, scores, strict=True)
        ),
        "none",
    )


class Judge:
    """Evaluates in threads, in the order asked; ``delay_s`` of a source is awaited."""

    def __init__(self, delay_s=lambda source: 0.0, workers=4):
        self.threads = ThreadPoolExecutor(workers)
        self.delay_s = delay_s
        self.asked = []

    def evaluate(self, sources, exams):
        self.asked += sources
        return self._results([self._submit(source) for source in sources])

    def _submit(self, source):
        return self.threads.submit(self._judge, source)

    def _results(self, futures):
        for future in futures:
            yield future.result()

    def _judge(self, source):
        time.sleep(self.delay_s(source))
        return judge(source)


class Turner:
    """A pure function of the question: turns the knob it is shown by a hashed step."""

    name = "turner"

    def __init__(self, tokens=0, usd=0.0, span=400):
        self.tokens, self.usd, self.span = tokens, usd, span
        self.asked = []

    def complete(self, messages, key):
        self.asked.append((key, messages))
        text = repr((messages, key))
        draw = int(hashlib.sha256(text.encode()).hexdigest(), 16)
        if draw % 11 == 0:
            return Reply("no code at all", self.tokens, 0, self.usd)
        knob = draw % self.span
        return Reply(
            "So:\n```python\n" + SOURCE.format(knob) + "```",
            self.tokens,
            0,
            self.usd,
        )


def campaign(path, limits=None, **parts):
    """An archive at ``path`` and a campaign over it; close the archive."""
    archive = Archive.open(path, parts.pop("header", HEADER))
    budget = parts.pop("budget", None) or Budget(limits or Limits(evaluations=20))
    search = parts.pop("search", Search(slots=4, lag=1))
    made = Campaign(
        problem=Knob(),
        model=parts.pop("model", None) or Turner(),
        pool=parts.pop("pool", None) or Judge(),
        exams=(),
        archive=archive,
        budget=budget,
        search=search,
        **parts,
    )
    return archive, made


def run(path, limits=None, seeds=SEEDS, **parts):
    """Run a campaign to its end; the journal's bytes."""
    archive, made = campaign(path, limits, **parts)
    with archive:
        made.run(seeds)
    return path.read_bytes()
