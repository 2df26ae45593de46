"""Requests for the tiny model: those that are ranked, and others to calibrate with."""

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.workloads.trace import PS_PER_S, Trace

DEPLOYMENT = Deployment(
    "tiny llama on a core",
    kv_blocks=100,
    # CPU attention takes multiples of 32.
    block_tokens=32,
    max_running=16,
    max_step_tokens=256,
)
CLASSES = (
    ServiceClass("interactive", 1.0, 0.1, 0.4, "made up for tests"),
    ServiceClass("patient", 6.0, 0.2, 1.0, "made up for tests"),
)
UNKNOWN = StepTime(tokens_ps=(1,))
PREDICTION_ERROR = 0.3
SHORTEST, LONGEST = 4, 1400


def scenario(name: str, trace: Trace, step_time: StepTime = UNKNOWN) -> Scenario:
    """The trace on the tiny engine."""
    return Scenario(
        name,
        "train",
        1.0,
        trace,
        DEPLOYMENT,
        step_time,
        CLASSES,
        "own measurement",
        PREDICTION_ERROR,
    )


def overload(seed: int, rows: int, per_s: float) -> Trace:
    """A quarter documents, the rest short prompts, more than one core can serve."""
    rng = np.random.default_rng((seed, 31))
    long = rng.random(rows) < 0.25
    median = np.where(long, 550.0, 60.0)
    prompt = median * np.exp(rng.normal(0.0, 0.5, rows))
    output = 14.0 * np.exp(rng.normal(0.0, 0.7, rows))
    arrived = np.cumsum(rng.exponential(1.0 / per_s, rows))
    return _trace(rng, arrived, prompt, output)


def everywhere(seed: int, rows: int) -> Trace:
    """Prompts and outputs of all lengths alike: to calibrate with, never to rank."""
    rng = np.random.default_rng((seed, 32))
    prompt = _alike(rng, SHORTEST, LONGEST, rows)
    arrived = np.cumsum(rng.exponential(1 / 8.0, rows))
    return _trace(rng, arrived, prompt, _alike(rng, 2, 100, rows))


def crowd(seed: int, rows: int) -> Trace:
    """Short prompts and long outputs, so that as many run as may: to calibrate with."""
    rng = np.random.default_rng((seed, 35))
    prompt = _alike(rng, SHORTEST, 150, rows)
    arrived = np.cumsum(rng.exponential(1 / 20.0, rows))
    return _trace(rng, arrived, prompt, _alike(rng, 8, 120, rows))


def at_once(seed: int, rows: int) -> Trace:
    """Requests that are all there at the beginning, so that time decides nothing."""
    drawn = everywhere(seed, rows)
    rng = np.random.default_rng((seed, 33))
    return _trace(rng, np.zeros(rows), drawn.prompt_tokens, drawn.output_tokens)


def one_by_one() -> Trace:
    """A prompt of every length that a step may hold, each alone: kernels are made."""
    tokens = np.arange(1, DEPLOYMENT.max_step_tokens + 1)
    rng = np.random.default_rng(34)
    return _trace(rng, tokens.astype(float), tokens, np.full(len(tokens), 2))


def _alike(rng: np.random.Generator, low: int, high: int, rows: int) -> np.ndarray:
    """Numbers of which each doubling has as many."""
    return np.exp(rng.uniform(np.log(low), np.log(high), rows))


def _trace(
    rng: np.random.Generator,
    arrived_s: np.ndarray,
    prompt: np.ndarray,
    output: np.ndarray,
) -> Trace:
    rows = len(arrived_s)
    output = np.clip(np.rint(output), 1, 120).astype(np.int64)
    predicted = output * np.exp(rng.normal(0.0, PREDICTION_ERROR, rows))
    return Trace(
        np.rint(arrived_s * PS_PER_S).astype(np.int64),
        np.clip(np.rint(prompt), 1, LONGEST).astype(np.int64),
        output,
        np.maximum(1, np.rint(predicted)).astype(np.int64),
        np.zeros(rows, dtype=np.int64),
        rng.integers(0, 2, rows),
    )
