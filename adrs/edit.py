"""A model's reply turned into a policy's source: a whole file, or hunks to apply.

The form of a hunk, any number of them one after another, fenced or not::

    <<<<<<< SEARCH
    lines that are in the file now
    =======
    lines to put in their place
    >>>>>>> REPLACE
"""

import difflib
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

SEARCH, DIVIDE, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"

MAX_REPLY_CHARS = 1 << 18
MAX_HUNKS = 200
QUOTED_CHARS = 60
"""Of a line that an error quotes; a message has 200 in all."""

_FENCE = re.compile(r"^(`{3,})[^`]*$")

EditKind = Literal[
    "empty",  # the reply says nothing
    "too_long",  # more than anybody would write by hand
    "no_code",  # neither a code block with a class nor a hunk
    "cut_off",  # a block or hunk that does not end
    "no_match",  # a hunk's search lines are not in the file
    "ambiguous",  # they are there more than once, or several blocks hold a class
]


class EditError(Exception):
    """The reply could not be applied; the message tells its author what to mend."""

    def __init__(self, kind: EditKind, message: str) -> None:
        self.kind: EditKind = kind
        super().__init__(message)


class Hunk(NamedTuple):
    """Lines to find and lines to put there."""

    search: list[str]
    replace: list[str]


def apply(reply: str, source: str) -> str:
    """The source that ``reply`` makes of ``source``; raises ``EditError``.

    Hunks are applied in order, each to the result of those before it.
    """
    if len(reply) > MAX_REPLY_CHARS:
        raise EditError(
            "too_long",
            f"{len(reply)} characters, at most {MAX_REPLY_CHARS}; a policy is one idea",
        )
    text = reply.replace("\r\n", "\n")
    if not text.strip():
        raise EditError("empty", "the reply is empty; send the policy's file")
    lines = text.split("\n")
    if any(line.strip() == SEARCH for line in lines):
        return _apply_hunks(hunks(lines), source)
    return _whole_file(_blocks(lines))


def hunks(lines: Sequence[str]) -> list[Hunk]:
    """The hunks in a reply's lines, in order; raises ``EditError`` "cut_off"."""
    found: list[Hunk] = []
    stripped = [line.strip() for line in lines]
    starts = [at for at, line in enumerate(stripped) if line == SEARCH]
    end = -1
    for start in starts:
        if start < end:
            continue
        number = len(found) + 1
        if number > MAX_HUNKS:
            raise EditError(
                "too_long", f"more than {MAX_HUNKS} hunks; send the whole file instead"
            )
        divide = _next(stripped, DIVIDE, start, number)
        end = _next(stripped, REPLACE, divide, number)
        found.append(
            Hunk(list(lines[start + 1 : divide]), list(lines[divide + 1 : end]))
        )
    return found


def _next(lines: Sequence[str], marker: str, after: int, number: int) -> int:
    try:
        return lines.index(marker, after + 1)
    except ValueError:
        raise EditError(
            "cut_off", f"hunk {number} has no line {marker!r}; send the hunks whole"
        ) from None


def _apply_hunks(found: Sequence[Hunk], source: str) -> str:
    lines = source.split("\n")
    for number, hunk in enumerate(found, start=1):
        at = _place(hunk, lines, number)
        lines[at : at + len(hunk.search)] = hunk.replace
    return "\n".join(lines)


def _place(hunk: Hunk, lines: list[str], number: int) -> int:
    """Where a hunk's search lines are, once and only once."""
    if not any(line.strip() for line in hunk.search):
        raise EditError(
            "no_match", f"hunk {number} searches for nothing; quote the lines to change"
        )
    places = _matches(hunk.search, lines)
    if not places:
        bare = [line.rstrip() for line in lines]
        places = _matches([line.rstrip() for line in hunk.search], bare)
    if len(places) > 1:
        at = ", ".join(str(place + 1) for place in places[:5])
        raise EditError(
            "ambiguous",
            f"hunk {number} matches {len(places)} places (lines {at}); quote more "
            "lines around the one you mean",
        )
    if not places:
        raise EditError("no_match", _nearest(hunk, lines, number))
    return places[0]


def _matches(search: list[str], lines: list[str]) -> list[int]:
    size = len(search)
    last = len(lines) - size
    return [at for at in range(last + 1) if lines[at : at + size] == search]


def _nearest(hunk: Hunk, lines: list[str], number: int) -> str:
    """Message that names the first search line that is nowhere, and the closest."""
    missing = next(
        (line for line in hunk.search if line.strip() and line not in lines), None
    )
    if missing is None:
        return f"hunk {number}: its search lines are in the file, but not in this order"
    heads = [line[:QUOTED_CHARS] for line in lines]
    near = difflib.get_close_matches(missing[:QUOTED_CHARS], heads, n=1, cutoff=0.0)
    where = f"; nearest is line {heads.index(near[0]) + 1}: {near[0]!r}" if near else ""
    return f"hunk {number}: {missing[:QUOTED_CHARS]!r} is not in the file{where}"


def _blocks(lines: Sequence[str]) -> list[str]:
    """Contents of the fenced blocks; raises ``EditError`` when the last is open."""
    found = []
    fence = ""
    block: list[str] = []
    for line in lines:
        opening = _FENCE.match(line)
        if not fence and opening:
            fence, block = opening.group(1), []
        elif fence and line.rstrip() == fence:
            found.append("\n".join(block) + "\n")
            fence = ""
        elif fence:
            block.append(line)
    if fence:
        raise EditError(
            "cut_off", "the code block does not end; send the whole file, shorter"
        )
    return found


def _whole_file(blocks: Sequence[str]) -> str:
    files = [block for block in blocks if re.search(r"^class ", block, re.MULTILINE)]
    if not files:
        raise EditError(
            "no_code",
            f"{len(blocks)} code blocks, none with a class; send the whole file in one "
            "python code block, or SEARCH/REPLACE hunks",
        )
    if len(files) > 1:
        raise EditError(
            "ambiguous", f"{len(files)} code blocks hold a class; send one file"
        )
    return files[0]
