"""Round robin in time slices, with KV set aside in host memory (AIOS, 2024).

Who has run for a slice while others wait for a slot is suspended and joins the end of
the queue, so that a long call does not keep short ones waiting.
"""

import numpy as np


class RoundRobin:
    ask = 0.5  # seconds between looks at who has had its slice
    slice_s = 1.0  # seconds of service before others get their turn

    def __init__(self):
        self.since = {}

    def schedule(self, waiting, running, engine):
        """The longest waiting run; as many as needed of those served enough yield."""
        now = engine.now_s
        joined = [("waits", i) for i in waiting.id.tolist()]
        joined += [("runs", i) for i in running.id.tolist()]
        self.since = {key: self.since.get(key, now) for key in joined}
        since = np.array([self.since[key] for key in joined])
        queued, started = since[: len(waiting)], since[len(waiting) :]
        grants = running.prompt_tokens + running.generated_tokens
        grants = grants - running.computed_tokens
        slots = int(engine.max_running) - len(running)
        due = np.flatnonzero(now - started >= self.slice_s)
        due = due[np.argsort(started[due], kind="stable")]
        yields = due[: max(0, len(waiting) - slots)]
        grants[yields] = -2
        turn = np.argsort(queued, kind="stable")[: slots + len(yields)]
        admit = np.zeros(len(waiting))
        admit[turn] = (waiting.prompt_tokens + waiting.generated_tokens)[turn]
        return admit, grants
