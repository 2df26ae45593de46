"""SIGKILL for workers and zygotes of this process, at random moments."""

import os
import random
import threading
from collections import Counter

from tests.soak.family import end, workers, zygotes

SORTS = {"worker": workers, "zygote": zygotes}


class Killer:
    """Strikes until the block ends; ``done`` counts the candidates judged so far.

    Whoever uses it counts. A candidate whose worker or zygote dies three times over is
    not judged any more, by design; so after two strikes none falls before ``window``
    more candidates are done, which are all that were begun.
    """

    def __init__(self, seed, window, pause_s):
        self.done = 0
        self.killed = Counter()
        self._draw = random.Random(seed)
        self._window, self._pause_s = window, pause_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        draw = self._draw
        while not self._is_over.wait(draw.uniform(0, self._pause_s)):
            self._strike()
            if draw.random() < 0.4 and not self._is_over.wait(draw.uniform(0, 1)):
                self._strike()
            mark = self.done + self._window
            while self.done < mark and not self._is_over.wait(0.01):
                pass

    def _strike(self):
        """Kill one worker or zygote, or all of that sort."""
        sort = self._draw.choice(sorted(SORTS))
        ours = SORTS[sort]
        found = sorted(ours(os.getpid()))
        n = self._draw.choice((1, len(found)))
        for process in self._draw.sample(found, min(n, len(found))):
            self.killed[sort] += end(process, lambda p: p in ours(os.getpid()))
