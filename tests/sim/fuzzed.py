"""Random small scenarios and policies, nasty on purpose: ties, tight memory, rests."""

from dataclasses import replace

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.trace import Trace

CLASSES = (
    ServiceClass("tight", 1e-9, 1e-10, 1e-9, "made up for tests"),
    ServiceClass("loose", 1e-8, 1e-9, 1e-8, "made up for tests"),
)


def fuzzed_scenario(seed: int) -> Scenario:
    """A scenario of up to 40 requests whose arrivals often fall on step ends."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    grid, span = int(rng.choice([1, 7, 1000])), int(rng.choice([0, 2000, 200_000]))
    most_prompt, most_output = (
        int(rng.choice([3, 40, 200])),
        int(rng.choice([1, 5, 60])),
    )
    trace = Trace(
        np.sort(rng.integers(0, span + 1, n) // grid * grid),
        rng.integers(1, most_prompt + 1, n),
        rng.integers(1, most_output + 1, n),
        rng.integers(1, most_output + 1, n),
        rng.integers(0, 3, n),
        rng.integers(0, 2, n),
    )
    block_tokens = int(rng.choice([1, 2, 4, 16]))
    blocks = int(-(-(most_prompt + most_output) // block_tokens) * rng.uniform(0.4, 4))
    deployment = Deployment(
        "fuzzed",
        max(1, blocks),
        block_tokens,
        int(rng.integers(1, 12)),
        int(rng.integers(1, most_prompt + 20)),
        bool(rng.random() < 0.7),
    )
    return Scenario(
        f"fuzz/{seed}",
        "train",
        1.0,
        trace,
        deployment,
        fuzzed_step_time(rng),
        CLASSES,
        "made up for tests",
        0.1,
    )


def with_prefixes(scenario: Scenario, seed: int) -> Scenario:
    """The same with prompts that share prefixes, and an engine that caches them.

    Of every other seed the chains go on through outputs, which others may continue or
    repeat while they are still being generated.
    """
    rng = np.random.default_rng((seed, 3))
    deployment, trace = scenario.deployment, scenario.trace
    size = deployment.block_tokens * int(rng.choice([1, 1, 2]))
    branches, seen = int(rng.integers(1, 5)), dict[tuple[int, int], int]()
    offsets, ids = [0], list[int]()
    tokens = trace.prompt_tokens + trace.output_tokens * (seed // 2 % 2)
    for most in (tokens // size).tolist():
        parent = -1
        for _ in range(int(rng.integers(0, most + 1))):
            step = (parent, int(rng.integers(branches)))
            parent = seen.setdefault(step, len(seen))
            ids.append(parent)
        offsets.append(len(ids))
    prefixes = Prefixes(size, np.array(offsets), np.array(ids, dtype=np.int64))
    return replace(
        scenario,
        trace=replace(trace, prefixes=prefixes),
        deployment=replace(deployment, prefix_caching=True),
    )


def echoing(seed: int) -> Scenario:
    """A scenario of up to 15 requests that continue and repeat each other's outputs.

    Most come while what they continue is still being generated, into memory for one to
    three of them, and their prompts are short beside their outputs.
    """
    rng = np.random.default_rng((seed, 6))
    n, size = int(rng.integers(3, 16)), int(rng.choice([1, 2, 2, 4]))
    prompt = rng.integers(1, 12, n)
    output = rng.integers(1, int(rng.choice([20, 60])), n)
    arrived = np.sort(rng.integers(0, int(rng.choice([1, 2000, 9000])), n))
    tenant, slo_class = rng.integers(0, 3, n), rng.integers(0, 2, n)
    chains = _echoes((prompt + output) // size, size, rng)
    longest = int((prompt + output).max()) // size + 1
    return Scenario(
        f"echoing/{seed}",
        "train",
        1.0,
        Trace(arrived, prompt, output, output, tenant, slo_class, chains),
        Deployment(
            "fuzzed",
            int(longest * rng.uniform(1, 2.5)) + 1,
            size,
            int(rng.integers(2, 9)),
            int(rng.choice([3, 5, 9, 40])),
            bool(rng.random() < 0.5),
            prefix_caching=True,
        ),
        fuzzed_step_time(rng),
        CLASSES,
        "made up for tests",
        0.1,
    )


def _echoes(blocks: np.ndarray, size: int, rng: np.random.Generator) -> Prefixes:
    """Chains that begin as an earlier one, and of half as many blocks at least."""
    chains: list[list[int]] = []
    fresh, faithful = 0, rng.uniform(0.5, 1)
    for row, whole in enumerate(blocks.tolist()):
        most = int(rng.integers(whole // 2, whole + 1))
        earlier = chains[int(rng.integers(row))] if row and rng.random() < 0.9 else []
        same = most if rng.random() < faithful else int(rng.integers(most + 1))
        chain = earlier[:same]
        new = most - len(chain)
        chains.append([*chain, *range(fresh, fresh + new)])
        fresh += new
    offsets = np.cumsum([0, *map(len, chains)])
    ids = np.array([i for chain in chains for i in chain], dtype=np.int64)
    return Prefixes(size, offsets, ids)


def fuzzed_step_time(rng: np.random.Generator) -> StepTime:
    """Coefficients of a few picoseconds, so that ties are common."""
    tokens = np.cumsum(rng.integers(0, 5, int(rng.integers(1, 6))))
    knots = np.cumsum([0, *rng.integers(1, 30, int(rng.choice([0, 0, 1, 2, 5])))])
    return StepTime(
        tokens_ps=tuple((tokens + int(rng.integers(1, 200))).tolist()),
        decodes_ps=tuple(rng.integers(0, 50, int(rng.integers(1, 5))).tolist()),
        context_knots=tuple(knots.tolist()),
        context_ps=tuple(
            tuple(rng.integers(0, 4, int(rng.integers(1, 4))).tolist()) for _ in knots
        ),
        prefill_token_ps=int(rng.integers(0, 5)),
        prefill_work_ps=int(rng.integers(0, 2)),
        prefill_ps=int(rng.choice([0, 7])),
        prefill_context_ps=int(rng.integers(0, 2)),
        longest_context_ps=int(rng.integers(0, 3)),
        beside_decode_ps=int(rng.choice([0, 0, 5])),
        beside_context_ps=int(rng.integers(0, 3)),
    )


def fuzzed_policy(seed: int) -> type:
    """A policy class with a random subset of the level-1 hooks, ties among its keys."""
    rng = np.random.default_rng((seed, 1))
    w = rng.normal(size=6)
    budget, cap = int(rng.integers(0, 200)), int(rng.integers(0, 10))
    holds = rng.random() < 0.3

    def admit_key(self, waiting, engine):
        key = w[0] * waiting.prompt_tokens + w[2] * waiting.predicted_tokens
        key = key + w[1] * 1e10 * (engine.now_s - waiting.arrived_s)
        key = key + w[3] * waiting.cached_tokens + w[5] * (waiting.prefix % 3)
        key = key + w[4] * engine.tenants.output_tokens_served[waiting.tenant]
        key = np.round(key + engine.tenants.waiting[waiting.tenant])
        scarce = engine.free_blocks < engine.total_blocks / 2
        return np.where(holds & scarce & (waiting.id % 3 == 0), np.inf, key)

    def victim_key(self, running, engine):
        key = w[0] * running.generated_tokens + w[1] * running.computed_tokens
        late = np.nan_to_num(running.last_token_s) * 1e10
        return np.round(key + w[2] * running.blocks_held + w[3] * late)

    def token_budget(self, engine):
        return budget + engine.context_tokens % 3

    def prompt_cap(self, engine):
        return cap

    hooks = (admit_key, victim_key, token_budget, prompt_cap)
    chosen: dict[str, object] = {
        hook.__name__: hook for hook in hooks if rng.random() < 0.5
    }
    if rng.random() < 0.2:
        chosen["ask"] = float(rng.choice([1e-10, 1e-9]))
    if holds and seed % 2:
        chosen["holds_back"] = True
    return type("Fuzzed", (), chosen)


def fuzzed_plan(seed: int) -> type:
    """A level-2 policy that admits, pauses and preempts by opaque ids."""
    rng = np.random.default_rng((seed, 2))
    chunk, pauses, preempts = (int(rng.integers(low, 9)) for low in (1, 0, 0))

    class Plan:
        def schedule(self, waiting, running, engine):
            admit = np.where(waiting.id % 7 != pauses, chunk, 0)
            if not len(running):
                admit[:1] = chunk
            grants = np.where(running.id % 9 == pauses, 0, chunk)
            late = running.generated_tokens % 5 == 4
            lost = (running.id % 11 == preempts) & late & (len(running) > 1)
            if len(grants) and not grants.any():
                grants[0] = chunk
            return admit, np.where(lost, -1, grants)

    return Plan
