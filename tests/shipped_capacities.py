"""Search the capacities that are shipped: ``python -m tests.shipped_capacities``."""

from adrs import exams, settings
from evaluators.capacity import SHIPPED, capacity_per_s, digest, entry, store
from evaluators.problems import names

COMBINATIONS = [
    (f"workload={workload}", f"deployment={deployment}")
    for workload in ("synthetic", "bursty")
    for deployment in ("h100_llama31_8b", "h100_llama31_8b_tight")
]
COMBINATIONS += [(f"problem={name}",) for name in names() if name != "scheduling"]


def sitting(overrides, folder):
    """The exams' place of one combination; searches go to the folder."""
    composed = settings.settings("evolve", settings.Arguments((), overrides))
    return exams.sitting(composed, folder / "found.json")


if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    SHIPPED.unlink(missing_ok=True)
    for combination in COMBINATIONS:
        with tempfile.TemporaryDirectory() as scratch:
            at = sitting(combination, Path(scratch))
        parts = (at.workload, at.service, at.n_requests)
        found = entry(*parts, capacity_per_s(*parts))
        store(SHIPPED, {digest(*parts): found})
