"""Judge many policies at once: worker processes, each with its own clean zygote.

joblib's loky starts and feeds the workers. They are ours and trusted: they hold the
exams, run the judge, and have every policy run in a process of its own. A worker that
dies is an accident of the machine, so what it had in hand is done again, never scored.
"""

import functools
import gc
import itertools
import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from types import TracebackType
from typing import NamedTuple, Self, cast

from adrs import sandbox
from adrs.isolation import in_force
from adrs.workers import executor, shut_down, starting, wait_until_begun
from adrs.zygote import same_addresses
from evaluators import problems
from evaluators.confine import Limits
from evaluators.evaluation import Evaluation, Outcome, PolicyError
from evaluators.load import load_policy
from evaluators.problem import Exam, Problem

ATTEMPTS = 3
"""How often a task whose worker died is tried."""

MAX_KEPT, MAX_KEPT_BYTES = 64, 1 << 20
"""Exams that a worker keeps for the next policy, and the largest of them, pickled."""


class WorkerError(Exception):
    """Workers keep dying: the machine's fault or ours, so nothing was scored."""


class Task(NamedTuple):
    """One policy on one exam; the problem by name, as its worker finds it.

    The exam comes pickled, and a worker keeps those that are small.
    """

    problem: str
    source: str
    scenario: str
    exam: bytes
    limits: Limits
    layers: tuple[str, ...]


class Pool:
    """Judges policies in ``workers`` processes; use it as a context manager.

    ``isolation`` is the weakest level that will do; evaluations are stamped with what
    is in force. Raises ``ValueError`` for an unknown problem or level, and
    ``IsolationError`` that names what this machine lacks.
    """

    def __init__(
        self, problem: str, workers: int, isolation: str, limits: Limits
    ) -> None:
        problems.load(problem)
        if workers < 1:
            raise ValueError(f"workers is {workers}; expected at least 1")
        report = in_force(isolation)
        assert report.level is not None
        self._problem = problem
        self._workers = workers
        self._isolation = report.level
        self._layers = report.layers
        self._limits = limits
        self._lock = threading.Lock()
        self._is_closed = False
        self._executor = executor(workers)
        # loky trips over what is still queued when it is shut down, so threads here
        # hold the queue and give it only what it hands to its workers at once.
        self._feeders = ThreadPoolExecutor(2 * workers)
        self._given: set[Future[Outcome]] = set()

    def evaluate(
        self, sources: Sequence[str], exams: Sequence[Exam]
    ) -> Iterator[Evaluation]:
        """One evaluation a source, in the order given.

        Work starts now and goes on in the background. Raises ``WorkerError`` when
        workers die under a task ``ATTEMPTS`` times, and what our own code raised.
        """
        packed = [(exam.scenario.name, pickle.dumps(exam)) for exam in exams]
        work = [
            [
                self._feeders.submit(self._outcome, self._task(source, *exam))
                for exam in packed
            ]
            for source in sources
        ]
        return self._evaluations(work)

    def close(self) -> None:
        """End the workers, with what they have in hand."""
        with self._lock:
            self._is_closed = True
        wait_until_begun(self._given)
        shut_down(self._executor)
        # Only now: the kernel ends a worker with the thread that started it.
        self._feeders.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _task(self, source: str, scenario: str, exam: bytes) -> Task:
        return Task(self._problem, source, scenario, exam, self._limits, self._layers)

    def _evaluations(self, work: "list[list[Future[Outcome]]]") -> Iterator[Evaluation]:
        try:
            for row in work:
                outcomes = tuple(future.result() for future in row)
                row.clear()
                yield Evaluation(outcomes, self._isolation)
        finally:
            for future in itertools.chain.from_iterable(work):
                future.cancel()

    def _outcome(self, task: Task) -> Outcome:
        """What a worker makes of the task; another one if that one dies."""
        cause: BrokenExecutor | None = None
        for _ in range(ATTEMPTS):
            used = self._executor
            try:
                return self._given_to(used, task).result()
            except BrokenExecutor as error:
                cause = error
                self._replace(used)
        raise WorkerError(
            f"workers died {ATTEMPTS} times over a policy on scenario "
            f"{task.scenario}; it was not scored: look for a lack of memory, "
            "then resume"
        ) from cause

    def _given_to(self, used: Executor, task: Task) -> "Future[Outcome]":
        """The task's future; raises ``CancelledError`` once the pool is closed."""
        with self._lock:
            if self._is_closed:
                raise CancelledError
            with starting(), same_addresses():
                future = used.submit(_judge, task)
            self._given.add(future)
        future.add_done_callback(self._given.discard)
        return future

    def _replace(self, broken: Executor) -> None:
        """Start new workers, unless that was done since ``broken`` broke."""
        with self._lock:
            if broken is self._executor and not self._is_closed:
                shut_down(broken)
                self._executor = executor(self._workers)


def in_process(problem: Problem, source: str, exams: Sequence[Exam]) -> Evaluation:
    """Judge a policy of our own in this very process, without any isolation."""
    outcomes = []
    for exam in exams:
        try:
            policy = load_policy(source, problem.hooks)
            outcome = problem.evaluate(policy, exam.scenario, exam.standard)
        except PolicyError as error:
            outcome = sandbox.failed(exam.scenario, error.failure)
        outcomes.append(outcome)
    return Evaluation(tuple(outcomes), "none")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _judge(task: Task) -> Outcome:
    problem = _loaded(task.problem)
    is_small = len(task.exam) <= MAX_KEPT_BYTES
    exam = (_kept_exam if is_small else _exam)(task.exam)
    return sandbox.evaluate(problem, task.source, exam, task.limits, task.layers)


@functools.cache
def _loaded(name: str) -> Problem:
    problem = problems.load(name)
    # What is loaded by now stays. loky collects garbage once a second, and to look all
    # of this through takes it 15 ms.
    gc.freeze()
    return problem


def _exam(packed: bytes) -> Exam:
    # The driver's own, that it sent to its worker: no policy ever writes one.
    return cast(Exam, pickle.loads(packed))


@functools.lru_cache(maxsize=MAX_KEPT)
def _kept_exam(packed: bytes) -> Exam:
    """The same one each time, with what was found of its scenario before."""
    return _exam(packed)
