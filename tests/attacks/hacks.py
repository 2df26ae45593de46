"""How public evaluators were gamed, tried on each of our problems.

Published ones (a device that is not there, input written over, one's own metric, the
hard cases skipped, an id twice, a look ahead, time that runs backwards, a queue without
end), each in the words of a problem's hooks. None may score above the baseline.
"""

BASELINES = {
    "scheduling": "fcfs",
    "eviction": "lru",
    "load_balancing": "least_outstanding",
}
"""The seed that does what an engine or a fleet does by itself."""

SCHEDULING = {
    "a device that is not there": """
    def schedule(self, waiting, running, engine):
        return np.ones(len(waiting) + 8), np.ones(len(running) + 8)
""",
    "more memory than there is": """
    def schedule(self, waiting, running, engine):
        return np.full(len(waiting), 2**31 - 1), np.full(len(running), 2**31 - 1)
""",
    "input written over": """
    def admit_key(self, waiting, engine):
        for name in ("arrived_s", "prompt_tokens", "predicted_tokens"):
            column = getattr(waiting, name)
            keys = np.array(waiting.arrived_s)
            try:
                column.setflags(write=True)
            except ValueError:
                pass
            try:
                column[...] = 0
            except ValueError:
                pass
        return keys * 0.0 + np.arange(len(keys))
""",
    "a metric of its own": """
    score = utility_mean = metrics = 1.0

    def admit_key(self, waiting, engine):
        return {"score": 1.0, "utility_mean": 1.0, "combined_score": 1e6}
""",
    "a metric beside the answer": """
    def admit_key(self, waiting, engine):
        return 1.0, waiting.arrived_s
""",
    "the hard cases skipped": """
    def admit_key(self, waiting, engine):
        if len(waiting) > 8:
            raise RuntimeError("too hard")
        return waiting.arrived_s
""",
    "the hard requests skipped": """
    holds_back = True

    def admit_key(self, waiting, engine):
        return np.where(waiting.prompt_tokens > 512, np.inf, waiting.arrived_s)
""",
    "an id twice": """
    def schedule(self, waiting, running, engine):
        rows = np.ones((2, len(waiting)))
        return rows, np.ones(len(running))
""",
    "a look ahead": """
    def admit_key(self, waiting, engine):
        return waiting.output_tokens
""",
    "a look behind the view": """
    def admit_key(self, waiting, engine):
        return waiting._table.columns["output_tokens"].take(waiting._rows)
""",
    "time that runs backwards": """
    ask = -1.0

    def admit_key(self, waiting, engine):
        return waiting.arrived_s
""",
    "a queue without end": """
    holds_back = True

    def admit_key(self, waiting, engine):
        return np.full(len(waiting), np.inf)
""",
    "a step without end": """
    def token_budget(self, engine):
        return 0

    def prompt_cap(self, engine):
        return 1
""",
}

EVICTION = {
    "a device that is not there": """
    def keep_value(self, blocks, now_s):
        return np.ones(len(blocks) + 8)
""",
    "input written over": """
    def keep_value(self, blocks, now_s):
        last_used_s = np.array(blocks.last_used_s)
        for array in blocks.parts():
            try:
                array.setflags(write=True)
                array[...] = 0
            except ValueError:
                pass
        return last_used_s
""",
    "a metric of its own": """
    score = saved_share = 1.0

    def keep_value(self, blocks, now_s):
        return {"saved_share": 1.0}
""",
    "the hard cases skipped": """
    def keep_value(self, blocks, now_s):
        raise RuntimeError("too hard")
""",
    "an id twice": """
    def keep_value(self, blocks, now_s):
        return np.repeat(blocks.last_used_s, 2)
""",
    "a look ahead": """
    def keep_value(self, blocks, now_s):
        return -blocks.next_used_s
""",
    "questions of its own kind": """
    rescore = "never"

    def keep_value(self, blocks, now_s):
        return blocks.last_used_s
""",
    "a queue without end": """
    def keep_value(self, blocks, now_s):
        return np.full(len(blocks), np.inf)
""",
    "values that are none": """
    def keep_value(self, blocks, now_s):
        return blocks.last_used_s / 0.0 - np.inf
""",
}

LOAD_BALANCING = {
    "a device that is not there": """
    def route(self, request, replicas):
        return len(replicas)
""",
    "a device counted from the end": """
    def route(self, request, replicas):
        return -1
""",
    "input written over": """
    def route(self, request, replicas):
        best = int(np.argmin(replicas.outstanding))
        for array in (*replicas.parts(), *request.parts()):
            try:
                array.setflags(write=True)
                array[...] = 0
            except ValueError:
                pass
        return best
""",
    "a metric of its own": """
    score = 1.0

    def route(self, request, replicas):
        return {"score": 1.0, "replica": 0}
""",
    "the hard cases skipped": """
    def route(self, request, replicas):
        if replicas.outstanding.min() > 2:
            raise RuntimeError("too hard")
        return int(np.argmin(replicas.outstanding))
""",
    "an id twice": """
    def route(self, request, replicas):
        return [0] * 64
""",
    "a look ahead": """
    def route(self, request, replicas):
        return request.output_tokens % len(replicas)
""",
    "time that runs backwards": """
    migrate_every_s = -1.0

    def route(self, request, replicas):
        return int(np.argmin(replicas.outstanding))

    def migrate(self, requests, replicas):
        return np.zeros((0, 2))
""",
    "a queue without end": """
    def route(self, request, replicas):
        return 0
""",
    "the busiest of all": """
    def route(self, request, replicas):
        return int(np.argmax(replicas.outstanding))
""",
}

HACKS = {
    "scheduling": SCHEDULING,
    "eviction": EVICTION,
    "load_balancing": LOAD_BALANCING,
}


def policy(hooks: str) -> str:
    """A policy of that body."""
    return f"import numpy as np\n\n\nclass Hack:{hooks}"
