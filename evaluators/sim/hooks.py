"""The questions that one engine asks a scheduling policy, and the checks of answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluators.evaluation import PolicyError
from evaluators.problem import Hook, numbers
from evaluators.sim.asking import called
from evaluators.views import Engine, Floats, Ints, Requests, Running, Waiting

HOOKS = (
    Hook(
        "admit_key",
        ("waiting", "engine"),
        "keys",
        "Rank of each waiting request, shape (n,); the lowest is admitted first, in "
        "order until one does not fit. inf holds a request back while anything runs; "
        "a policy with holds_back = True is asked for a single request, too.",
        "when the waiting set, the free blocks or a slot changed: arrival, finish, "
        "preemption, end of a prefill; the ranks are then held until the next such "
        "point",
    ),
    Hook(
        "victim_key",
        ("running", "engine"),
        "keys",
        "Worth of preempting each running request, shape (n,); the highest loses its "
        "KV first and is recomputed later.",
        "when an allocation would fail",
    ),
    Hook(
        "preempt_mode",
        ("running", "engine"),
        "modes",
        "What becomes of the KV of requests that were just preempted, shape (n,): 0 "
        "recompute it, 1 move it to host memory, 2 move it there and keep the copy "
        "when the request is back, so that the next time only what is new is moved. "
        "The rows are the victims, as they were. 1 without this hook.",
        "after victim_key, once the victims of a step are known, on an engine with "
        "host memory and no prefix cache; one without recomputes, one with both finds "
        "what its caches kept",
    ),
    Hook(
        "token_budget",
        ("engine",),
        "count",
        "Tokens that a step may compute, at most engine.max_step_tokens; running "
        "requests come before waiting ones, so this bounds the prefill chunk.",
        "with admit_key",
    ),
    Hook(
        "prompt_cap",
        ("engine",),
        "count",
        "Prompt tokens that one request may compute in a step; 0 means no cap. "
        "Ignored when only one request is in the system.",
        "with admit_key",
    ),
    Hook(
        "schedule",
        ("waiting", "running", "engine"),
        "grants",
        "The whole plan: (tokens per waiting row, tokens per running row). A granted "
        "request computes up to that many tokens in each step (1 when decoding), 0 "
        "leaves it out. -1 preempts a running one, whose KV is recomputed; -2 moves "
        "its KV to host memory, -3 also keeps the copy (see preempt_mode). What does "
        "not fit is not admitted. Used instead of all other hooks.",
        "at the same points as admit_key; the plan stands until the next",
    ),
)

VIEWS = {
    "waiting": Waiting.columns(),
    "running": Running.columns(),
}


Together = Callable[[Sequence[str], Mapping[str, object]], Sequence[object]]
"""Asks several hooks by name, given their views by name; answers in that order."""


class Plan(NamedTuple):
    """A level-2 answer: tokens per step for each waiting and each running row."""

    waiting: Ints
    running: Ints


class Admission(NamedTuple):
    """Checked answers at a decision point; None where nothing was asked."""

    keys: Floats | None
    budget: int | None
    cap: int | None


class Policy:
    """A policy's hooks with every answer checked, and a count of what was asked.

    An absent hook means the engine's own rule. Raises ``PolicyError`` of kind
    "decision" for an answer that is not what the hook promises; what a hook itself
    raises becomes kind "exception".

    ``answers_admission`` says whether any hook is asked when requests could be
    admitted, ``sizes_steps`` whether one is that does not look at who waits.
    ``holds_back`` is the policy's own attribute (False if it has none) until it first
    holds a request back: only then can ranking a single request make a difference.
    """

    __slots__ = (
        "_together",
        "admit_key",
        "answers_admission",
        "ask",
        "holds_back",
        "preempt_mode",
        "prompt_cap",
        "questions",
        "schedule",
        "sizes_steps",
        "token_budget",
        "victim_key",
    )

    def __init__(self, policy: object) -> None:
        self.questions = 0
        self.admit_key: Callable[..., Any] | None = _hook(policy, "admit_key")
        self.victim_key: Callable[..., Any] | None = _hook(policy, "victim_key")
        self.preempt_mode: Callable[..., Any] | None = _hook(policy, "preempt_mode")
        self.token_budget: Callable[..., Any] | None = _hook(policy, "token_budget")
        self.prompt_cap: Callable[..., Any] | None = _hook(policy, "prompt_cap")
        self.schedule: Callable[..., Any] | None = _hook(policy, "schedule")
        self.ask = _period(getattr(policy, "ask", "event"))
        self.sizes_steps = bool(self.token_budget or self.prompt_cap)
        self.answers_admission = bool(self.admit_key) or self.sizes_steps
        self.holds_back = bool(getattr(policy, "holds_back", False))
        self._together: Together | None = getattr(policy, "ask_together", None)

    @property
    def leads(self) -> bool:
        """Whether it has a say in what a step does, so that it could get nowhere."""
        return bool(self.schedule or self.answers_admission or self.victim_key)

    def admission(self, waiting: Waiting | None, engine: Engine) -> Admission:
        """Ask the hooks of a decision point; no ranking where ``waiting`` is None.

        A policy with ``ask_together`` (a proxy that pays for each message) is asked all
        at once, and answers as it would one by one, in the order of ``HOOKS``.
        """
        budget, cap = self.token_budget, self.prompt_cap
        key = self.admit_key if waiting is not None else None
        asked = [hook for hook in (key, budget, cap) if hook]
        if self._together and len(asked) > 1:
            self.questions += len(asked)
            names = [_name(hook) for hook in asked]
            views = {"engine": engine} | ({"waiting": waiting} if key else {})
            answers = self._together(names, views)
        else:
            answers = [
                self._call(hook, waiting, engine)
                if hook is key
                else self._call(hook, engine)
                for hook in asked
            ]
        left = iter(answers)
        keys = None
        if key and waiting is not None:
            keys = checked_keys(next(left), len(waiting), "admit_key")
            if not self.holds_back and not is_finite(keys):
                self.holds_back = bool((keys == np.inf).any())
        return Admission(
            keys,
            checked_count(next(left), "token_budget") if budget else None,
            checked_count(next(left), "prompt_cap") if cap else None,
        )

    def ranks(self, hook: Callable[..., Any], view: Requests, engine: Engine) -> Floats:
        """Keys of a ranking hook, shape (n,), no NaN among them."""
        keys = self._call(hook, view, engine)
        return checked_keys(keys, len(view), _name(hook))

    def modes(self, victims: Running, engine: Engine) -> list[int]:
        """Checked modes of preempted requests; moved to the host without the hook."""
        if self.preempt_mode is None:
            return [1] * len(victims)
        answer = self._call(self.preempt_mode, victims, engine)
        return checked_modes(answer, len(victims))

    def plan(self, waiting: Waiting, running: Running, engine: Engine) -> Plan:
        """Checked grants of the level-2 hook."""
        assert self.schedule is not None
        answer = self._call(self.schedule, waiting, running, engine)
        return checked_plan(answer, len(waiting), len(running))

    def _call(self, hook: Callable[..., Any], *views: object) -> Any:  # noqa: ANN401
        self.questions += 1
        return called(_name(hook), hook, *views)


def is_finite(values: Floats) -> bool:
    """Whether no value is nan or infinite; may say no of very large ones, too.

    One product, as the usual tests cost more than all else of a small question.
    """
    return math.isfinite(values.dot(values))


def checked_keys(keys: object, rows: int, hook: str) -> Floats:
    """``keys`` as float64 of shape (rows,); raises ``PolicyError`` "decision"."""
    array = numbers(keys, hook)
    if array.shape != (rows,):
        raise PolicyError(
            "decision", f"{hook} returned shape {array.shape}; expected ({rows},)"
        )
    values = array.astype(np.float64)
    if not is_finite(values) and np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values))[0])
        raise PolicyError("decision", f"{hook} returned nan for row {row} of {rows}")
    return values


def checked_count(value: object, hook: str) -> int:
    """``value`` as an int from 0 to 2**31; raises ``PolicyError`` "decision"."""
    array = numbers(value, hook)
    if array.shape != () or not np.isfinite(array):
        raise PolicyError("decision", f"{hook} returned {array}; expected one number")
    number = float(array)
    if not 0 <= number < 2**31:
        raise PolicyError("decision", f"{hook} returned {number}; expected 0 or more")
    return int(number)


def checked_modes(answer: object, rows: int) -> list[int]:
    """``answer`` as modes 0 to 2, one a row; raises ``PolicyError`` "decision"."""
    modes = checked_keys(answer, rows, "preempt_mode")
    if not np.isin(modes, (0, 1, 2)).all():
        raise PolicyError("decision", f"preempt_mode returned {modes}; modes are 0..2")
    return [int(mode) for mode in modes]


def checked_plan(answer: object, waiting: int, running: int) -> Plan:
    """``answer`` as a ``Plan`` of these sizes; raises ``PolicyError`` "decision"."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise PolicyError(
            "decision", "schedule must return (waiting grants, running grants)"
        )
    sizes = zip(answer, (waiting, running), (0, -3), strict=True)
    return Plan(*(_grants(part, rows, least) for part, rows, least in sizes))


def _grants(part: object, rows: int, least: int) -> Ints:
    array = checked_keys(part, rows, "schedule")
    if array.size and not (array.min() >= least and array.max() < 2**31):
        raise PolicyError("decision", f"schedule grants must be {least} or more")
    return array.astype(np.int64)


def _hook(policy: object, name: str) -> Callable[..., Any] | None:
    found = getattr(policy, name, None)
    return found if callable(found) else None


def _name(hook: Callable[..., Any]) -> str:
    return getattr(hook, "__name__", "hook")


def _period(ask: object) -> float | None:
    """Seconds between extra questions: None for decision points only, 0 for each step.

    Raises ``PolicyError`` "interface" unless ``ask`` is "event", "iteration" or a
    period in seconds above 0.
    """
    if ask == "event":
        return None
    if ask == "iteration":
        return 0.0
    if isinstance(ask, int | float) and 0 < ask < float("inf"):
        return float(ask)
    raise PolicyError(
        "interface", f"ask is {ask!r}; expected event, iteration, seconds"
    )
