"""The template of .c files, c/model.c, and C's syntax of strings and lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_WIDTH = 120  # columns of the file
_DIRECTIVE = re.compile(r"#(if|elif|else|endif|ifdef|ifndef)\b *(\w*)")
_SHORT = {ord(character): f"\\{letter}" for character, letter in zip('\n\t"\\?', 'nt"\\?', strict=True)}


@dataclass
class _Block:
    """An #if that is open.

    Attributes:
        ours: whether it is a condition to resolve. kept: whether the present branch remains.
        decided: whether this branch or one before it remains.
    """

    ours: bool
    kept: bool
    decided: bool


@cache
def _template() -> str:
    return files(__package__).joinpath("c/model.c").read_text(encoding="ascii")


def filled(conditions: Mapping[str, bool], inserted: Mapping[str, str]) -> str:
    """The template with its conditions resolved, and texts in the place of "INSERT name" in its comments.

    Conditions are `#if NAME` with a name of `conditions`, and their #elif, #else and #endif. Other directives stay.

    Args:
        inserted: name -> text. Where a comment is only "INSERT name", the text replaces the comment.
    """
    text = "\n".join(_resolved(_template().split("\n"), conditions))
    names = "|".join(inserted)
    # In one pass, since an inserted text may have the words of a place.
    places = re.compile(rf"/\* INSERT ({names}) \*/|INSERT ({names})")
    return places.sub(lambda place: inserted[place[1] or place[2]], text)


def _resolved(lines: list[str], conditions: Mapping[str, bool]) -> Iterator[str]:
    """The lines that remain."""
    blocks: list[_Block] = []
    for line in lines:
        found = _DIRECTIVE.match(line)
        keyword, name = found.groups() if found else ("", "")
        if keyword in ("if", "ifdef", "ifndef"):
            ours = keyword == "if" and name in conditions
            blocks.append(_Block(ours, *([conditions[name]] * 2 if ours else [True] * 2)))
        block = blocks[-1] if keyword else None
        if block and keyword in ("elif", "else") and block.ours:
            block.kept = not block.decided and (keyword == "else" or conditions[name])
            block.decided |= block.kept
        if keyword == "endif":
            blocks.pop()
        if not (block and block.ours) and all(block.kept for block in blocks):
            yield line


def string(text: bytes) -> str:
    r"""A C string literal, in ASCII: three octal digits, which end an escape, and no trigraphs.

    Example:
        >>> string(b'a"??/\n\x001')
        '"a\\"\\?\\?/\\n\\0001"'
    """
    escaped = (_SHORT.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text)
    return f'"{"".join(escaped)}"'


def wrapped(entries: Iterable[str], indent: str) -> list[str]:
    """Lines of entries, with spaces between."""
    lines, line = [], indent
    for entry in entries:
        if len(line) + len(entry) > _WIDTH and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += f"{entry} "
    return [*lines, line.rstrip()]
