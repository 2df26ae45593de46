"""What a policy may know of the requests that an engine runs, and of the engine."""

from evaluators.sim.running import RunningSet
from evaluators.views import Engine, Running
from evaluators.workloads.trace import PS_PER_S


def running_view(running: RunningSet) -> Running:
    """The running requests, in running order."""
    rows = list(running.rows)
    decodes, now = running.decodes, running.now_ps
    computed = [running.computed_tokens(row) for row in rows]
    generated, last = [], []
    for row in rows:
        decoding = decodes.finish[row] >= 0
        left = decodes.remaining(row) if decoding else 0
        generated.append(
            running.output[row] - left if decoding else running.generated[row]
        )
        last.append(now if decoding else running.last_token_ps[row])
    if running.coming is not None:
        for at, row in enumerate(rows):
            if decodes.finish[row] >= 0 or row in running.lingering:
                generated[at] -= 1
                last[at] = running.coming.earlier.get(row, now)
    blocks = [running.memory.blocks(tokens) for tokens in computed]
    return running.panel.running(rows, computed, blocks, generated, last)


def engine_view(running: RunningSet, n_waiting: int) -> Engine:
    """The engine, beside which so many requests wait."""
    decodes, coming = running.decodes, running.coming
    others = [running.computed[row] for row in (*running.paused, *running.lingering)]
    last_step_ps = running.last_step_ps if coming is None else coming.step_before_ps
    scalars = (
        running.now_ps / PS_PER_S,
        running.memory.free,
        n_waiting,
        len(running.rows),
        decodes.n + len(others),
        decodes.computed_tokens() + sum(others),
        last_step_ps / PS_PER_S,
    )
    tenants = running.tenants.columns(decodes.step)
    if coming is not None:
        tenants = running.tenants.before(decodes.step, coming.chunks, running.lingering)
    return running.panel.engine(running.now_ps, scalars, tenants)
