"""Takes KV blocks and gives them back, with a cache or without."""

from evaluators.sim.compiled.cache import evict, release
from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.state import State


@compiled
def take_blocks(state: State, index: int, n_blocks: int) -> None:
    """So many blocks, which must be free, get new contents."""
    replica = state.replicas[index]
    replica.free -= n_blocks
    replica.least_free = min(replica.least_free, replica.free)
    short = n_blocks - replica.unfilled
    replica.unfilled = max(0, -short)
    if state.limits.caches and short > 0:
        evict(state, index, short)


@compiled
def let_go(state: State, index: int, row: int) -> None:
    """All blocks of a request are free again."""
    request = state.requests[row]
    if state.limits.caches:
        release(state, index, row)
    else:
        n_blocks = request.capacity // state.limits.block_tokens
        state.replicas[index].free += n_blocks
        state.replicas[index].unfilled += n_blocks
    request.capacity = 0
