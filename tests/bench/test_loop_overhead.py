"""What the loop itself costs a candidate, beside a free model and judge."""

import time

import pytest

from adrs.archive import Archive
from adrs.budget import Limits
from adrs.campaign import Search
from adrs.live import Live
from adrs.llm.model import Reply
from adrs.tracking import Tracker
from evaluators.evaluation import Evaluation, Outcome
from tests.loop_parts import SEEDS, campaign, run
from tests.test_live import begun

pytestmark = pytest.mark.bench

METRICS = {f"metric_{number}_s": number / 7 for number in range(30)}
MOST_MS = 10.0


class Numbers:
    """Writes another 2 kB policy for every question."""

    name = "numbers"

    def complete(self, messages, key):
        knob = key.round * 100 + key.slot
        body = "    # filler\n" * 150
        source = f"class K:\n    knob = {knob}\n    rank = None\n{body}"
        return Reply(f"```python\n{source}```")


class Instant:
    """Sixteen scenarios with thirty metrics and feedback each, at once."""

    def evaluate(self, sources, exams):
        return iter([self._evaluation(source) for source in sources])

    def _evaluation(self, source):
        score = hash(source) % 1000 / 1000
        outcomes = tuple(
            Outcome(f"scenario-{number}", 1.0, score, METRICS, "worst case\n" * 40)
            for number in range(16)
        )
        return Evaluation(outcomes, "none")


def overhead_ms(path, n_candidates):
    start_s = time.perf_counter()
    limits = Limits(evaluations=n_candidates)
    run(path, limits, **parts())
    return (time.perf_counter() - start_s) * 1e3 / n_candidates


def followed_ms(path, n_candidates, tracker):
    """The same with an MLflow store that follows as it does in a campaign."""
    limits, observers = Limits(evaluations=n_candidates), []
    archive, made = campaign(path, limits, observers=observers, **parts())
    live = Live(tracker, begun(path.parent, path.stem), archive)
    observers.append(live)
    start_s = time.perf_counter()
    with archive:
        made.run(SEEDS)
    took_ms = (time.perf_counter() - start_s) * 1e3
    live.close()
    return took_ms / n_candidates


def parts():
    return {"model": Numbers(), "pool": Instant(), "search": Search(slots=8)}


def test_overhead_is_small_and_flat(tmp_path):
    few = min(overhead_ms(tmp_path / f"few{n}.jsonl", 100) for n in range(3))
    many = overhead_ms(tmp_path / "many.jsonl", 2_000)
    start_s = time.perf_counter()
    with Archive.read(tmp_path / "many.jsonl") as archive:
        assert len(archive.rows) == 2_001
    replay_s = time.perf_counter() - start_s
    print(
        f"\nloop overhead: {few:.2f} ms a candidate at 100, {many:.2f} ms at 2,000; "
        f"replay of 2,000 in {replay_s:.2f} s"
    )
    assert many < MOST_MS
    assert many < 2 * few


def test_overhead_is_as_small_and_flat_while_mlflow_follows(tmp_path):
    tracker = Tracker(tmp_path)
    followed_ms(tmp_path / "first.jsonl", 100, tracker)
    alone = overhead_ms(tmp_path / "alone.jsonl", 2_000)
    few = min(followed_ms(tmp_path / f"few{n}.jsonl", 100, tracker) for n in range(3))
    many = followed_ms(tmp_path / "many.jsonl", 2_000, tracker)
    print(
        f"\nfollowed: {few:.2f} ms a candidate at 100, {many:.2f} ms at 2,000; "
        f"alone {alone:.2f} ms"
    )
    assert many < MOST_MS
    assert many < 2 * few
