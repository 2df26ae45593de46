"""A text file that is written whole or not at all."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write the text at that path, making its folder; what was there stays until then.

    Raises ``OSError`` naming the file when it cannot be written, as on a full disk;
    then what was there is as it was, and nothing is left beside it. A pipe or a
    device is written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)
