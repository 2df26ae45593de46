"""Rates of the two ceilings from their sizes and times."""


def rate(what: str, size: float, seconds: float) -> tuple[float, str]:
    """Operations of a square product, or bytes read and written, in a second."""
    if what == "matrix_side":
        return 2 * size**3 / seconds, "operations/s"
    return 2 * size / seconds, "bytes/s, read and written"
