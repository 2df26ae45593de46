"""A policy that answers from its log, asked by the engine as the policy itself was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adrs.decisions import Decisions, LogError
from adrs.sandbox import failed
from evaluators.evaluation import Outcome, PolicyError
from evaluators.problem import Exam, Hook, Problem
from evaluators.views import Parts


class Recorded:
    """A policy's hooks and manners, answering in the order of the log.

    Where the log ends with a failure, that is raised. A question that the log does not
    have at this point raises ``LogError`` and stays in ``mismatch``, as the engine
    takes it for a policy's own exception.
    """

    def __init__(self, decisions: Decisions, hooks: Sequence[Hook]) -> None:
        vars(self).update(decisions.manners)
        self._decisions = decisions
        self._at = 0
        self.mismatch: LogError | None = None
        for hook in hooks:
            if hook.name in decisions.hooks:
                setattr(self, hook.name, self._answering(hook))

    def ask_together(
        self, names: Sequence[str], views: Mapping[str, Any]
    ) -> list[object]:
        """Answers of several hooks, which were asked in one message."""
        del views
        return [_taken((part,)) for part in self._next(tuple(names))]

    @property
    def n_left(self) -> int:
        """Entries that nobody asked for yet."""
        return len(self._decisions.entries) - self._at

    def _next(self, hooks: tuple[str, ...]) -> Parts:
        if not self.n_left:
            failure = self._decisions.failure
            if failure is None:
                raise self._unlike(f"it ends where {' and '.join(hooks)} is asked")
            raise PolicyError(failure.kind, failure.message)
        entry = self._decisions.entries[self._at]
        if entry.hooks != hooks:
            raise self._unlike(
                f"entry {self._at} answers {' and '.join(entry.hooks)}; the engine "
                f"asks {' and '.join(hooks)}"
            )
        self._at += 1
        return entry.answer

    def _unlike(self, message: str) -> LogError:
        self.mismatch = LogError(message)
        return self.mismatch

    def _answering(self, hook: Hook) -> Callable[..., object]:
        def told(*views: object) -> None:
            del views

        def asked(*views: object) -> object:
            del views
            return _taken(self._next((hook.name,)))

        answer = told if hook.returns == "nothing" else asked
        answer.__name__ = hook.name
        return answer


def replay(problem: Problem, decisions: Decisions, exam: Exam) -> Outcome:
    """Outcome of an exam under a log; no policy runs.

    Raises ``LogError`` when the engine asks what the log does not answer, or not all of
    it.
    """
    policy = Recorded(decisions, problem.hooks)
    outcome = problem.evaluate(policy, exam.scenario, exam.standard)
    if policy.mismatch is not None:
        raise policy.mismatch
    if policy.n_left:
        raise LogError(f"it has {policy.n_left} entries that the engine never asks for")
    if outcome.failure is None and decisions.failure is not None:
        return failed(exam.scenario, decisions.failure)
    return outcome


def _taken(answer: Parts) -> object:
    return answer[0] if len(answer) == 1 else answer
