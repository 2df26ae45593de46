"""What the real engine is asked to serve, and what it answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluators.scenario import Scenario
from tests.differential.vllm_python import answers, kept_answers
from tests.differential.vllm_side.job import Job, to_json
from tests.vllm_cpu import drawn
from tests.vllm_cpu.policies import RANKED, VARIED

DRIVER = "tests.vllm_cpu.engine_side.driver"
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
TRACES = {
    "overload": drawn.overload(1, 200, 16.0),
    "burst": drawn.overload(2, 200, 28.0),
}
"""The core serves about 13 requests a second of these."""

TOGETHER = drawn.at_once(6, 50)


@dataclass(frozen=True, slots=True)
class Served:
    """One run of the real engine: what for, of what, under what, and its steps.

    ``purpose`` is "warm", "decide", "fit", "hold out" or "rank"; ``is_quiet`` says
    whether it went before every ordinary process of the machine.
    """

    purpose: str
    trace: str
    policy: str
    text: str
    scenario: Scenario
    notes: list[dict[str, Any]]
    is_quiet: bool


def served(folder: Path, rounds: int) -> list[Served]:
    """Everything, in one process of the engine; takes minutes.

    What the engine said stays in ``folder``; if it lies there for these very jobs, it
    is not asked again.
    """
    asked = list(_asked(rounds))
    jobs = [_message(*one) for one in asked]
    said = kept_answers(jobs, folder)
    if said is None:
        said = answers(DRIVER, jobs, folder, **SETTINGS)
    return [
        Served(*one, answer["steps"], answer["is_quiet"])
        for one, answer in zip(asked, said, strict=True)
    ]


Asked = tuple[str, str, str, str, Scenario]


def _asked(rounds: int) -> Iterator[Asked]:
    """Each round has runs to calibrate with before the ranked ones, in another order.

    So whatever the machine does, it does to all policies and to the calibration.
    """
    yield "warm", "one by one", "", "", drawn.scenario("warm", drawn.one_by_one())
    for name, text in (RANKED | {"varied": VARIED}).items():
        yield "decide", "at once", name, text, drawn.scenario("at once", TOGETHER)
    for number in range(rounds):
        yield from _to_calibrate(number)
        ranked = [(t, p) for t in TRACES for p in RANKED]
        shift = number * len(ranked) // rounds
        for trace, policy in ranked[shift:] + ranked[:shift]:
            scenario = drawn.scenario(trace, TRACES[trace])
            yield "rank", trace, policy, RANKED[policy], scenario


def _to_calibrate(number: int) -> Iterator[Asked]:
    kinds = {"everywhere": drawn.everywhere, "crowd": drawn.crowd}
    for place, (purpose, rows) in enumerate((("fit", 110), ("hold out", 60))):
        for kind, draw in kinds.items():
            seed = 2 * number + place
            scenario = drawn.scenario(f"{kind}/{seed}", draw(seed, rows))
            yield purpose, scenario.name, "varied", VARIED, scenario


def _message(
    purpose: str, trace: str, policy: str, text: str, scenario: Scenario
) -> dict[str, Any]:
    return {
        "job": to_json(Job(scenario, text)),
        "clock": "own" if purpose == "warm" else "wall",
        "is_timed": purpose not in {"warm", "decide"},
    }
