"""Other futures of a scenario: what arrived by some time is the same, no more is."""

from dataclasses import replace

import numpy as np

from evaluators.workloads.prefixes import Sessions
from evaluators.workloads.relations import joined
from evaluators.workloads.trace import COLUMNS, PS_PER_S


def another_future(scenario, run, until_ps):
    """The same until then: later requests differ, and so does what is not emitted.

    Contents are numbered so that those of the future come first. Of sessions, turns
    that were still to come do not, and others do, before many that are here.
    """
    trace = scenario.trace
    moves = trace.arrived_ps > until_ps
    is_later = moves | (run.arrived_ps > until_ps)
    grows = (run.finished_ps > until_ps) | (run.finished_ps < 0)
    grows &= is_later | fits(scenario, trace.prompt_tokens + trace.output_tokens + 23)
    other = replace(
        trace,
        arrived_ps=trace.arrived_ps + moves * (PS_PER_S // 7),
        prompt_tokens=trace.prompt_tokens + is_later * 37,
        predicted_tokens=trace.predicted_tokens + is_later * 11,
        output_tokens=trace.output_tokens + grows * 23,
        tenant=np.where(is_later, trace.tenant[::-1], trace.tenant),
        prefixes=trace.prefixes and renumbered(trace.prefixes, is_later),
    )
    if trace.sessions is not None:
        other = with_other_turns(other, run, until_ps)
    return replace(
        scenario, regime=2.0, split="held_out", name="another future", trace=other
    )


def fits(scenario, tokens):
    """Whether so many tokens fit each memory: what does not is refused on arrival."""
    members = scenario.fleet.members if scenario.fleet else ()
    engines = [scenario.deployment, *(member.deployment for member in members)]
    return tokens <= min(engine.kv_blocks * engine.block_tokens for engine in engines)


def renumbered(prefixes, is_later):
    """The same contents, those that come up before by higher numbers than the rest."""
    lengths = np.diff(prefixes.offsets)
    early = np.unique(prefixes.ids[~np.repeat(is_later, lengths)])
    n = int(prefixes.ids.max(initial=0)) + 1
    ids = prefixes.ids + n * np.isin(prefixes.ids, early)
    return replace(prefixes, ids=ids)


def with_other_turns(trace, run, until_ps):
    """The trace without half of the turns to come, and with some that follow others.

    Which turn a tool's answer brings shows once the call is made, see
    ``cache.owners``; so where the request before has ended, only people come and go.
    """
    after, is_tool = trace.sessions.after, trace.sessions.is_tool
    has_ended = (run.finished_ps >= 0) & (run.finished_ps <= until_ps)
    hidden = (after >= 0) & ~(has_ended[after] & (is_tool == 1))
    goes = hidden & ((run.arrived_ps > until_ps) | (run.arrived_ps < 0))
    goes &= np.cumsum(goes) % 2 == 1
    for row, before in enumerate(after.tolist()):
        goes[row] |= before >= 0 and goes[before]
    return woven(trace, np.flatnonzero(~goes), new_turns(run, has_ended, until_ps))


def new_turns(run, has_ended, until_ps):
    """(row it follows, wait) of turns that come later than ``until_ps``."""
    is_here = (run.arrived_ps >= 0) & (run.arrived_ps <= until_ps)
    rows = np.flatnonzero(is_here)[::2]
    least = np.where(has_ended, until_ps + 1 - run.finished_ps, 0)
    return rows, least[rows]


def woven(trace, kept, turns):
    """The kept rows and the new turns, each as early as it could come."""
    rows, waits = turns
    n, sessions = len(kept), trace.sessions
    arrived = np.concatenate([trace.arrived_ps[kept], trace.arrived_ps[rows] + waits])
    order = np.argsort(arrived, kind="stable")
    columns = {name: getattr(trace, name) for name in COLUMNS}
    columns = {name: np.concatenate([c[kept], c[rows]]) for name, c in columns.items()}
    row_of = np.full(len(trace) + 1, -1)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    row_of[kept] = place[:n]
    after = row_of[np.concatenate([sessions.after[kept], rows])]
    wait_ps = np.concatenate([sessions.wait_ps[kept], waits])
    is_tool = np.concatenate([sessions.is_tool[kept], np.zeros_like(rows)])
    return replace(
        trace,
        **{name: column[order] for name, column in columns.items()}
        | {"arrived_ps": arrived[order]},
        prefixes=trace.prefixes and chained(trace, kept, rows, order),
        sessions=Sessions(after[order], wait_ps[order], is_tool[order]),
    )


def chained(trace, kept, rows, order):
    """Chains of the kept rows; the new turns begin with contents never seen before."""
    prefixes, new = trace.prefixes, len(rows)
    room = trace.prompt_tokens[rows] // prefixes.block_tokens
    chains = [prefixes.chain(row) + new for row in kept.tolist()]
    chains += [np.arange(i, i + 1)[: room[i]] for i in range(new)]
    return joined(prefixes.block_tokens, [chains[i] for i in order.tolist()])
