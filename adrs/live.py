"""What keeps a campaign's run in MLflow up to date while it runs."""

import threading
from dataclasses import replace

from adrs.archive import Archive
from adrs.candidate import Trial
from adrs.curve import Curve
from adrs.records import Event
from adrs.shown import Report
from adrs.tracking import Tracker, TrackingError

EVERY_S = 3.0


class Live:
    """Observer whose thread has ``tracker`` follow the campaign of ``archive``.

    ``begun`` is the campaign without its curve. The thread begins with the first trial,
    writes at most every ``every_s`` and only what is new; the loop never waits for it.
    What the store refuses is tried again with the next trials.
    """

    def __init__(
        self,
        tracker: Tracker,
        begun: Report,
        archive: Archive,
        every_s: float = EVERY_S,
    ) -> None:
        self._tracker = tracker
        self._begun = begun
        self._archive = archive
        self._every_s = every_s
        self._curve = Curve()
        self._n_taken = 0
        self._has_news = threading.Event()
        self._is_closed = threading.Event()
        self._writing = threading.Lock()
        self._is_begun = False

    def on_round(self, round: int, n_candidates: int) -> None:
        """Nothing to show: what counts are trials."""
        del round, n_candidates

    def on_trial(self, trial: Trial) -> None:
        """Wake the thread, or start it."""
        del trial
        self._has_news.set()
        if not self._is_begun:
            self._is_begun = True
            threading.Thread(target=self._follow, name="mlflow-live").start()

    def on_event(self, event: Event) -> None:
        """Nothing to show either."""
        del event

    def close(self) -> None:
        """Write no more; what is being written is in the store when it returns."""
        self._is_closed.set()
        self._has_news.set()
        with self._writing:  # of use even where a signal cut the thread's start short
            pass

    def _follow(self) -> None:
        while not self._is_closed.wait(self._every_s if self._n_taken else 0.0):
            self._has_news.wait()
            self._has_news.clear()
            with self._writing:
                if not self._is_closed.is_set():
                    self._write()

    def _write(self) -> None:
        rows = self._archive.rows[self._n_taken :]
        self._curve.take(rows)
        self._n_taken += len(rows)
        try:
            self._tracker.follow(replace(self._begun, curve=self._curve.points))
        except TrackingError:  # the report at the end says so, if it still holds
            return
        self._curve.told()
