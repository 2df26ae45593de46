"""Every seed decides for itself, and is better than FCFS where its paper says so."""

from itertools import combinations

import numpy as np
import pytest

from evaluators.metrics import latencies, terms
from evaluators.quantiles import gap_summary
from evaluators.sim.engine import simulate
from tests.problems.builders import names, on_h100, policy, synthetic, trace_of

DRAWS = range(3)
STRESS = synthetic(10.0, kv_blocks=5000)


def overloaded(seed):
    """More arrives than the engine can serve in time; memory is ample."""
    return synthetic(14.0, seed=seed)


def crowded(seed):
    """Arrivals and answers that outgrow the KV memory."""
    return synthetic(10.0, seed=seed, kv_blocks=5000)


@pytest.fixture(scope="module")
def stressed():
    return {name: simulate(STRESS, policy(name)) for name in names()}


def test_every_pair_of_seeds_decides_differently_somewhere(stressed):
    assert len(stressed) >= 10
    for one, other in combinations(stressed, 2):
        a, b = stressed[one], stressed[other]
        same = a.decisions == b.decisions
        same &= np.array_equal(a.first_token_ps, b.first_token_ps)
        assert not same, f"{one} and {other} decide alike"


def test_fcfs_decides_as_the_engine_does_by_itself(stressed):
    assert stressed["fcfs"].decisions == simulate(STRESS, None).decisions


def mean_ttft_s(exam, run):
    return np.nanmean(latencies(exam, run).ttft_s)


def mean_e2e_s(exam, run):
    return np.nanmean(latencies(exam, run).e2e_s)


def late_first_tokens(exam, run):
    return np.mean(terms(exam, run).ttft < 1)


def tail_gap_s(exam, run):
    return gap_summary(run)["p99"]


def n_preemptions(exam, run):
    return run.preemptions.sum()


CLAIMS = [
    # vLLM v0: first tokens come sooner when prompts never wait for decodes.
    ("fcfs_prefill_first", overloaded, mean_ttft_s, 0.9),
    # Orca: what reserves its whole answer is not preempted.
    ("orca", crowded, n_preemptions, 0.2),
    # Sarathi-Serve: small chunks keep the gap between two tokens short.
    ("sarathi", overloaded, tail_gap_s, 0.5),
    # Its chunks that shrink along a prompt do so with first tokens as soon as FCFS has.
    ("sarathi_dynamic", overloaded, tail_gap_s, 0.92),
    ("sarathi_dynamic", overloaded, mean_ttft_s, 1.0),
    # Shortest job first: the mean wait falls.
    ("shortest_prompt", overloaded, mean_ttft_s, 0.7),
    ("aged_shortest_prompt", overloaded, mean_ttft_s, 0.7),
    # SRPT: the mean time in the system falls.
    ("srpt", crowded, mean_e2e_s, 0.95),
    # Deadline rules: fewer deadlines are missed.
    ("earliest_deadline", overloaded, late_first_tokens, 0.9),
    ("least_slack", overloaded, late_first_tokens, 0.97),
    # Head-room: admitting less avoids preemptions.
    ("head_room", crowded, n_preemptions, 0.5),
]


@pytest.mark.parametrize(("name", "regime", "cost", "share"), CLAIMS)
def test_a_seed_beats_fcfs_in_the_regime_of_its_paper(name, regime, cost, share):
    exams = [regime(seed) for seed in DRAWS]
    own = [cost(exam, simulate(exam, policy(name))) for exam in exams]
    fcfs = [cost(exam, simulate(exam, policy("fcfs"))) for exam in exams]
    assert np.mean(fcfs) > 0
    assert np.mean(own) <= share * np.mean(fcfs)


def test_aging_bounds_the_wait_of_a_long_prompt_among_short_ones():
    arrived_s = np.concatenate([[1.0], np.arange(0, 15, 0.015)])
    order = np.argsort(arrived_s, kind="stable")
    prompt = np.where(order == 0, 2000, 900)
    exam = on_h100(trace_of(arrived_s[order], prompt, 2))
    row = int(np.argmax(prompt))
    waits = {
        name: latencies(exam, simulate(exam, policy(name))).ttft_s[row]
        for name in ("shortest_prompt", "aged_shortest_prompt")
    }
    assert waits["aged_shortest_prompt"] < 0.8 * waits["shortest_prompt"]


def test_fair_shares_shield_light_tenants_from_a_flood():
    flood_s = np.linspace(0.0, 10.0, 400)
    light_s = np.linspace(1.0, 9.0, 20)
    arrived_s = np.concatenate([flood_s, light_s])
    tenant = np.repeat([0, 1], [400, 20])
    order = np.argsort(arrived_s, kind="stable")
    exam = on_h100(trace_of(arrived_s[order], 1500, 20, tenant[order]))
    light = exam.trace.tenant == 1
    waits = {
        name: np.quantile(
            latencies(exam, simulate(exam, policy(name))).ttft_s[light], 0.9
        )
        for name in ("fcfs", "vtc")
    }
    assert waits["vtc"] < 0.3 * waits["fcfs"]


def test_a_tenant_that_idled_has_saved_no_credit():
    """VTC lifts who returns: it shares from then on, it does not take all."""
    first_s, both_s = np.linspace(0.0, 8.0, 200), np.full(80, 8.0)
    arrived_s = np.concatenate([first_s, both_s])
    tenant = np.concatenate([np.zeros(200), np.arange(80) % 2])
    exam = on_h100(trace_of(arrived_s, 2000, 2, tenant))
    run = simulate(exam, policy("vtc"))
    late = np.arange(len(exam.trace)) >= len(first_s)
    waited_ps = run.first_token_ps - exam.trace.arrived_ps
    waits = [np.median(waited_ps[late & (exam.trace.tenant == t)]) for t in (0, 1)]
    assert waits[0] < 2 * waits[1]


def test_chunks_shrink_along_a_prompt_in_multiples_of_32_tokens():
    subject = policy("sarathi_dynamic")
    subject.ask = "iteration"
    run = simulate(on_h100(trace_of([0.0], 8000, 1)), subject)
    chunks = np.repeat(run.steps.prefill_tokens, run.steps.count)
    assert chunks.tolist() == [2048, 1600, 1376, 1184, 736, 736, 320]


def test_decodes_share_the_size_of_a_chunk():
    subject = policy("sarathi_dynamic")
    subject.ask = "iteration"
    trace = trace_of([0.0, *[0.5] * 2], [10, 4000, 4000], [200, 1, 1])
    run = simulate(on_h100(trace), subject)
    steps = run.steps.prefill_tokens[run.steps.start_ps > 0.4e12]
    assert steps[steps > 0][0] == 2047


def test_a_batch_decodes_to_its_end_before_the_next_prompt():
    arrived_s = [0.0, 0.0, 0.1, 0.2]
    exam = on_h100(trace_of(arrived_s, 100, [20, 300, 5, 5]))
    run = simulate(exam, policy("decode_first"))
    assert (run.admitted_ps[2:] >= run.finished_ps[:2].max()).all()
    assert run.admitted_ps[2] == run.admitted_ps[3]
    assert run.finished_ps[0] < run.finished_ps[1] / 4


def test_the_longest_answer_yields_its_slot_to_a_far_shorter_one():
    exam = on_h100(trace_of([0.0, 1.0], 100, [3000, 10]), max_running=1)
    run = simulate(exam, policy("srpt"))
    assert run.preemptions.tolist() == [1, 0]
    assert run.finished_ps[1] < run.finished_ps[0]
