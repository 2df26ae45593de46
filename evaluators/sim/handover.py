"""Running requests that go on in another engine, or came from one."""

from evaluators.sim.run import Decision
from evaluators.sim.running import RunningSet


def leave(running: RunningSet, row: int) -> None:
    """A request past its prompt goes on elsewhere; its memory is free again."""
    if running.decodes.finish[row] >= 0:
        running.stop_decoding(row)
    running.paused.pop(row, None)
    del running.rows[row]
    running.memory.release(row, running.computed[row], running.now_ps)
    running.computed[row] = 0
    running.tenants.finish(row)


def let_go(running: RunningSet, row: int) -> None:
    """The memory of a kept request is free again."""
    del running.kept[row]
    running.memory.release(row, running.computed[row], running.now_ps)
    running.computed[row] = 0


def reserve(running: RunningSet, row: int, blocks: int) -> bool:
    """Keep blocks and a slot for a request to come; False if there are none."""
    reserved = running.memory.reserved
    full = len(running.rows) + len(reserved) >= running.deployment.max_running
    if row not in reserved and full:
        return False
    return running.memory.reserve(row, blocks, running.now_ps)


def join(running: RunningSet, row: int, generated: int, last_token_ps: int) -> None:
    """A request whose KV came from elsewhere goes on, in what was reserved."""
    memory = running.memory
    del memory.reserved[row]
    running.goal[row] += generated - running.generated[row]
    running.generated[row] = generated
    running.computed[row] = running.goal[row] - 1
    running.last_token_ps[row] = last_token_ps
    running.rows[row] = running.paused[row] = None
    running.tenants.wait(row)
    running.tenants.run(row)
    if memory.cache is not None:
        memory.cache.fill(row, running.computed[row], running.now_ps)


def drop(running: RunningSet, row: int) -> None:
    """A running request is lost with the engine, which takes no step any more."""
    if running.decodes.finish[row] >= 0:
        running.stop_decoding(row)
    running.ledger.preemptions[row] += 1
    running.record.decisions.append(Decision(running.now_ps, "preempt", row))
