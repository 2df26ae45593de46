"""What a campaign tells while it runs, turned into what is shown of it."""

from adrs.archive import Archive
from adrs.asking import Outage
from adrs.budget import Budget
from adrs.candidate import Trial
from adrs.progress import Progress, Status
from adrs.records import Event
from adrs.terminal import note

FIRST_S = 1.0
"""How long to wait for a model that has not answered yet."""


class Trust:
    """Observer that has ``outage`` waited out once the model has ever answered.

    An endpoint that never did is more likely misspelt than down.
    """

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._patient_s = outage.give_up_s
        outage.give_up_s = min(FIRST_S, outage.give_up_s)

    def on_round(self, round: int, n_candidates: int) -> None:
        """It answered."""
        del round, n_candidates
        self._outage.give_up_s = self._patient_s

    def on_trial(self, trial: Trial) -> None:
        """Says nothing of the model."""
        del trial

    def on_event(self, event: Event) -> None:
        """Says nothing that is not known."""
        del event


class Watch:
    """Observer of one campaign that keeps ``progress`` up to date."""

    def __init__(
        self, stage: str, archive: Archive, budget: Budget, progress: Progress
    ) -> None:
        self._stage = stage
        self._archive = archive
        self._budget = budget
        self._progress = progress
        self._first_s = budget.elapsed_s
        self._first_rows = len(archive.rows)

    def on_round(self, round: int, n_candidates: int) -> None:
        """Nothing to show: what counts are trials."""
        del round, n_candidates

    def on_trial(self, trial: Trial) -> None:
        """Show where the campaign is."""
        del trial
        self._progress.show(self._status())

    def on_event(self, event: Event) -> None:
        """Say what a person should know at once."""
        if event.kind == "pause":
            self._progress.close()
            wait_s, reason = event.facts["wait_s"], event.facts["reason"]
            note(f"the model is not available ({reason}); asking again in {wait_s:g} s")

    def _status(self) -> Status:
        rows = self._archive.rows
        seeds = [row.score for row in rows if row.round == 0]
        n_evaluated = len(rows) - len(seeds)
        return Status(
            self._stage,
            max(row.score for row in rows if row.dropped is None),
            max(seeds),
            n_evaluated,
            self._budget.limits.evaluations,
            sum(row.failure is None for row in rows if row.round),
            self._budget.spent.usd,
            self._left_s(n_evaluated),
        )

    def _left_s(self, n_evaluated: int) -> float | None:
        """Until the first of the limits in evaluations and seconds is reached."""
        limits, elapsed_s = self._budget.limits, self._budget.elapsed_s
        lefts = []
        if limits.seconds is not None:
            lefts.append(max(0.0, limits.seconds - elapsed_s))
        if limits.evaluations is not None:
            pace_s = elapsed_s - self._first_s
            pace_s /= len(self._archive.rows) - self._first_rows
            lefts.append(pace_s * (limits.evaluations - n_evaluated))
        return min(lefts, default=None)
