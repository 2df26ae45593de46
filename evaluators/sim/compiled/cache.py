"""KV blocks that are kept for later requests, as ``PrefixCache`` keeps them.

A block with a content is a record of ``memory.blocks``; those without are a count.
"""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.state import Contents, Record, Records, State
from evaluators.sim.compiled.table import place, remove


@compiled
def find_prefix(state: State, index: int, row: int) -> tuple[int, int]:
    """Leading full blocks of a waiting request in memory; how many nobody holds.

    Notes them where the request would sit, were it admitted.
    """
    memory, replica = state.memory, state.replicas[index]
    held = memory.held[index, memory.seats[index, replica.n_seated]]
    places = memory.places[index]
    most = (state.requests[row].goal - 1) // state.limits.block_tokens
    idle = 0
    for j in range(most):
        content = _content(memory.contents, row, j)
        at = places[place(places, content)].block
        if at < 0:
            return j, idle
        held[j] = at
        idle += memory.blocks[index, at].holders == 0
    return most, idle


@compiled
def hold_prefix(state: State, index: int, row: int, n_blocks: int) -> None:
    """A request is admitted on so many blocks that ``find_prefix`` has found for it."""
    memory, replica = state.memory, state.replicas[index]
    blocks, request = memory.blocks[index], state.requests[row]
    request.seat = memory.seats[index, replica.n_seated]
    replica.n_seated += 1
    request.filled = n_blocks
    held = memory.held[index, request.seat]
    for j in range(n_blocks):
        block = blocks[held[j]]
        if block.holders == 0:
            _leave(blocks, replica, block)
            replica.free -= 1
        block.holders += 1


@compiled
def evict(state: State, index: int, n_blocks: int) -> None:
    """Drop the contents of so many free blocks, the longest unused first."""
    replica, blocks = state.replicas[index], state.memory.blocks[index]
    for _ in range(n_blocks):
        at = replica.first_free
        _leave(blocks, replica, blocks[at])
        _drop(state, index, at)
        blocks[at].behind = replica.spare
        replica.spare = at


@compiled
def fill(state: State, index: int, row: int, tokens: int) -> None:
    """So many tokens are computed or scheduled: full blocks can be found from now."""
    memory, replica = state.memory, state.replicas[index]
    request = state.requests[row]
    held = memory.held[index, request.seat]
    for j in range(request.filled, tokens // state.limits.block_tokens):
        at = replica.spare
        block = memory.blocks[index, at]
        replica.spare = block.behind
        block.content = _content(memory.contents, row, j)
        block.holders, block.copy = 1, -1
        _enter(state, index, at)
        held[j] = at
        request.filled = j + 1


@compiled
def release(state: State, index: int, row: int) -> None:
    """A request lets go of all its blocks, the last first; full ones can be found."""
    memory, replica = state.memory, state.replicas[index]
    blocks, request = memory.blocks[index], state.requests[row]
    fill(state, index, row, request.computed)
    held = memory.held[index, request.seat]
    for j in range(request.filled - 1, -1, -1):
        block = blocks[held[j]]
        block.holders -= 1
        if block.holders == 0:
            _join(blocks, replica, held[j])
            replica.free += 1
    unfilled = request.capacity // state.limits.block_tokens - request.filled
    replica.unfilled += unfilled
    replica.free += unfilled
    request.filled = 0
    replica.n_seated -= 1
    memory.seats[index, replica.n_seated] = request.seat


@compiled
def _content(contents: Contents, row: int, j: int) -> int:
    """What block j of a request holds; below 0 what no other can have."""
    at = contents.offsets[row] + j // contents.parts
    if at < contents.offsets[row + 1]:
        return int(contents.ids[at]) * contents.parts + j % contents.parts
    return -1 - (j * (len(contents.offsets) - 1) + row)


@compiled
def _enter(state: State, index: int, at: int) -> None:
    """The content of a block can be found, after older blocks with the same."""
    memory, blocks = state.memory, state.memory.blocks[index]
    places = memory.places[index]
    found = places[place(places, blocks[at].content)]
    if found.block < 0:
        found.content, found.block = blocks[at].content, at
        return
    last = found.block
    while blocks[last].copy >= 0:
        last = blocks[last].copy
    blocks[last].copy = at
    state.replicas[index].n_copies += 1


@compiled
def _drop(state: State, index: int, at: int) -> None:
    """The content of a block cannot be found there any more."""
    memory, blocks = state.memory, state.memory.blocks[index]
    places = memory.places[index]
    found, copy = place(places, blocks[at].content), blocks[at].copy
    last = places[found].block
    if last == at and copy < 0:
        remove(places, found)
        return
    state.replicas[index].n_copies -= 1
    if last == at:
        places[found].block = copy
        return
    while blocks[last].copy != at:
        last = blocks[last].copy
    blocks[last].copy = copy


@compiled
def _join(blocks: Records, replica: Record, at: int) -> None:
    """A block that nobody holds waits at the end of those to be evicted."""
    blocks[at].before, blocks[at].behind = replica.last_free, -1
    if replica.last_free < 0:
        replica.first_free = at
    else:
        blocks[replica.last_free].behind = at
    replica.last_free = at


@compiled
def _leave(blocks: Records, replica: Record, block: Record) -> None:
    """A block is held again, or has its turn to be evicted."""
    if block.before < 0:
        replica.first_free = block.behind
    else:
        blocks[block.before].behind = block.behind
    if block.behind < 0:
        replica.last_free = block.before
    else:
        blocks[block.behind].before = block.before
