"""Where the files that ship with the code are, in a checkout and in a wheel."""

from pathlib import Path


def folder(name: str) -> Path:
    """The folder ``conf`` or ``seeds``.

    A wheel carries them inside the package, a checkout beside it. Raises
    ``FileNotFoundError`` naming both places.
    """
    package = Path(__file__).resolve().parent
    places = (package / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"{name} is neither at {places[0]} nor at {places[1]}")


def seeds(problem: str) -> dict[str, str]:
    """Source of every baseline of a problem by its name, sorted.

    They are text here: nothing of them is imported. Raises ``FileNotFoundError`` when
    the problem has none.
    """
    files = sorted((folder("seeds") / problem).glob("[!_]*.py"))
    if not files:
        raise FileNotFoundError(
            f"no baseline in {folder('seeds') / problem}; expected at least one policy"
        )
    return {file.stem: file.read_text(encoding="utf-8") for file in files}
