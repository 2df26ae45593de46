"""A place that cannot be written, said in one line with the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(path: Path, otherwise: str = "") -> Iterator[None]:
    """Raise ``OSError`` that names the place and the way out for one that fails within.

    ``otherwise`` is what can be said to write elsewhere, such as ``plot=FILE``, if
    anything.
    """
    try:
        yield
    except OSError as error:
        hint = f", or say {otherwise}" if otherwise else ""
        raise OSError(
            f"cannot write to {path.absolute()}: {error.strerror or error}; call adrs "
            f"in a folder that is writable{hint}"
        ) from None
