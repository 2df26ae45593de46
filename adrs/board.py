"""A run on the MLflow leaderboard, from its first trial to its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from adrs.archive import Archive
from adrs.kernel_replay import KernelReplay
from adrs.live import Live
from adrs.report import report, stopped, under_way
from adrs.run_folder import RunFolder
from adrs.shown import Report
from adrs.terminal import note
from adrs.tracking import Tracker, TrackingError
from adrs.verdict import Verdict


class Board:
    """Shows one run in the store under ``runs``; a refusal is told and stops nothing.

    As a context it ends what ``live``, an observer of the campaign, began.
    """

    def __init__(
        self,
        runs: Path,
        folder: RunFolder,
        settings: Mapping[str, Any],
        archive: Archive,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._archive = archive
        self._tracker = Tracker(runs)
        self.live = Live(self._tracker, under_way(folder, settings), archive)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()

    def stopped(self) -> None:
        """Show that it was stopped before its verdict."""
        self._tell(stopped(self._folder, self._settings, self._archive))

    def finished(self, verdict: Verdict, replay: KernelReplay | None) -> str | None:
        """Show all of it; the URL of the leaderboard, None where that failed."""
        made = report(self._folder, self._settings, self._archive, verdict, replay)
        return self._tell(made)

    def _tell(self, made: Report) -> str | None:
        self.live.close()
        try:
            return self._tracker.report(made)
        except TrackingError as error:
            note(
                f"not on the MLflow leaderboard: {error}; the journal has everything, "
                "the same command tries again"
            )
            return None
