"""One policy on one scenario, in a process of its own that nothing outlives.

The process never held the trace or the hidden lengths; what it sends is checked as
plain numbers; it cannot outlast its CPU time, its memory or this process; and all
layers of ``evaluators.confine`` keep it from files, the network and other processes.
"""

import functools
import logging
import signal
from collections.abc import Collection, Sequence
from dataclasses import replace

from adrs.conversation import Conversation, over_cpu_limit
from adrs.decisions import Decisions, seal
from adrs.remote import RemotePolicy
from adrs.zygote import Ending, NoProcessError, Zygote, ZygoteError
from evaluators.confine import LAYERS, Limits
from evaluators.evaluation import Failure, Outcome, PolicyError
from evaluators.problem import Exam, Hook, Problem
from evaluators.scenario import Scenario

__all__ = ["Limits", "evaluate"]

ATTEMPTS = 3
"""A zygote that dies under a policy is an accident twice, its doing the third time."""

GRACE_S = 1.0
"""How long a process may take to end after it closed its connection."""

_NOT_ALLOWED = (
    "its process was ended by SIGSYS: it asked the kernel for what no policy may, such "
    "as a process, a thread, a socket or a signal"
)
CUT_OFF = frozenset((
    "cpu_limit",
    "wall_limit",
    "memory_limit",
    "crash",
    "exit",
    "protocol",
))
"""Failures that end a policy wherever it happens to be."""

_log = logging.getLogger(__name__)


def evaluate(
    problem: Problem,
    source: str,
    exam: Exam,
    limits: Limits,
    layers: Collection[str] = LAYERS,
) -> Outcome:
    """Judge a policy on an exam, in a process of its own that sees nothing else.

    ``layers`` leaves out only what ``adrs.isolation`` found missing here. Whatever the
    policy does comes back as an outcome; an exception is our bug or the machine's
    fault: ``ConfinementError`` names a layer that could not be put in force, and an
    ``OSError`` or ``NoProcessError`` is one that came ``ATTEMPTS`` times.
    """
    cause: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            return _evaluate_once(problem, source, exam, limits, layers)
        except (ZygoteError, OSError) as error:
            cause = error
            _log.warning("attempt %d of %d: %s", attempt + 1, ATTEMPTS, error)
    if isinstance(cause, OSError | NoProcessError):
        raise cause
    failure = Failure("crash", f"the process above it died, {ATTEMPTS} times in a row")
    return failed(exam.scenario, failure)


def failed(scenario: Scenario, failure: Failure) -> Outcome:
    """Outcome of a policy that got no score."""
    return Outcome(scenario.name, scenario.regime, 0.0, {}, "", failure)


def close_zygote() -> None:
    """End the process that this one forks policies from, if there is one."""
    _zygote().close()


@functools.cache
def _zygote() -> Zygote:
    return Zygote()


def _evaluate_once(
    problem: Problem,
    source: str,
    exam: Exam,
    limits: Limits,
    layers: Collection[str],
) -> Outcome:
    zygote = _zygote()
    with zygote.forked(limits, layers) as process:
        conversation = Conversation(process, limits)
        said = Decisions((), {}, ())
        try:
            outcome, said = _outcome(conversation, problem, source, exam)
        finally:
            # What closed its end is about to end by itself, and how says why.
            grace_s = GRACE_S if conversation.is_lost else 0.0
            ending = zygote.reap(process, grace_s)
    failure = outcome.failure
    if conversation.is_lost:
        failure = _cause_of(ending, limits)
    elif failure is None:
        failure = _late_fault(ending, limits)
    if failure is not None and failure is not outcome.failure:
        outcome = failed(exam.scenario, failure)
    return _with_log(outcome, said, problem.hooks)


def _with_log(outcome: Outcome, said: Decisions, hooks: Sequence[Hook]) -> Outcome:
    """The outcome with its log; of a policy that was cut off, only how it ended.

    How far it came is a matter of the machine, and outcomes are journaled byte for
    byte.
    """
    failure = outcome.failure
    if failure is not None and failure.kind in CUT_OFF:
        said = Decisions((), {}, ())
    digest, data = seal(replace(said, failure=failure), hooks)
    return replace(outcome, decisions=digest, log=data)


def _outcome(
    conversation: Conversation, problem: Problem, source: str, exam: Exam
) -> tuple[Outcome, Decisions]:
    """What came of it, and all that the policy answered."""
    said, policy = Decisions((), {}, ()), None
    try:
        policy = RemotePolicy(conversation, source, problem.hooks, problem.manners)
        said = Decisions(policy.has, policy.manners, policy.entries)
        outcome = problem.evaluate(policy, exam.scenario, exam.standard)
        if outcome.failure is None:
            policy.finish()
    except PolicyError as error:
        outcome = failed(exam.scenario, error.failure)
    finally:
        # Its hooks refer to it, so all that it was answered would stay in memory.
        if policy is not None:
            vars(policy).clear()
    return outcome, said


def _cause_of(ending: Ending, limits: Limits) -> Failure:
    """Why a process ended before its scenario did."""
    if ending.cpu_s > limits.cpu_s or ending.ended_by is signal.SIGXCPU:
        return Failure("cpu_limit", over_cpu_limit(limits))
    if ending.ended_by is signal.SIGSYS:
        return Failure("crash", _NOT_ALLOWED)
    if ending.ended_by is not None:
        return Failure("crash", f"its process was ended by {ending.ended_by.name}")
    return Failure("exit", f"it ended its process with exit code {ending.code}")


def _late_fault(ending: Ending, limits: Limits) -> Failure | None:
    """What is wrong with a policy that answered every question."""
    if ending.cpu_s > limits.cpu_s:
        return Failure("cpu_limit", over_cpu_limit(limits))
    if ending.left_behind:
        return Failure("protocol", "it left processes behind")
    return None
