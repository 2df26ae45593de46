"""Importers: one file for each public source of measured times, found by its name."""

from importlib.resources import files


def names() -> tuple[str, ...]:
    """Names of the importers there are, sorted."""
    folder = files("evaluators.calibration.importers")
    found = (entry.name for entry in folder.iterdir())
    return tuple(
        sorted(
            name.removesuffix(".py")
            for name in found
            if name.endswith(".py") and not name.startswith("_")
        )
    )
