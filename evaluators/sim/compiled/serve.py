"""Serves a scenario under the built-in rules in machine code."""

from evaluators.evaluation import PolicyError
from evaluators.scenario import Scenario
from evaluators.sim.arrivals import rejected_rows
from evaluators.sim.compiled.columns import run_of, taken
from evaluators.sim.compiled.initial import initial
from evaluators.sim.compiled.state import MOST_PS
from evaluators.sim.progress import BARREN_STEPS
from evaluators.sim.run import Run

ROOM = 1 << 16
"""Events that the core writes down before they are collected."""


def serve(scenario: Scenario, room: int = ROOM) -> Run:
    """The ``Run`` that the engine makes without a policy; see ``covers``.

    Raises ``PolicyError`` where no engine gets anywhere, ``OverflowError`` when
    simulated time exceeds 2**62 ps.
    """
    from evaluators.sim.compiled import core  # noqa: PLC0415 - numba may be absent

    rejected = rejected_rows(scenario, scenario.deployment.kv_blocks)
    state = initial(scenario, rejected, room)
    serve_on, logs = core.core(), []
    while (stop := serve_on(state)) == core.FULL:
        logs.append(taken(state))
    logs.append(taken(state))
    if stop == core.BARREN:
        raise PolicyError("no_progress", f"{BARREN_STEPS} steps without a token")
    if stop == core.ENDLESS:
        raise PolicyError("no_progress", "four times the steps of a serial run")
    if stop == core.TOO_LATE:
        raise OverflowError(
            f"scenario {scenario.name} lasts longer than {MOST_PS} ps; serve it with "
            "the plain engine"
        )
    return run_of(scenario, state, logs, rejected)
