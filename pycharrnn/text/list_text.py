"""Recognizes a list of short lines, such as names or titles, for `train FILES`, and whether it is sorted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

EXAMINED = 1 << 20  # bytes of the beginning of a text
_MIN_LINES = 40
_MAX_LINE = 60  # characters of the median line; prose is wrapped at 65 or more
_MAX_LONG_LINE = 80  # characters of all lines but a tenth; prose without line breaks has a line for each paragraph
_MAX_SORTED_LINE = 40  # characters of the median line of a sorted list
_MAX_LIKE_PROSE = 0.1  # fraction of lines; it is 0.25 to 0.8 in prose, verse and dialogue
_MAX_LIKE_CODE = 0.1  # fraction of lines; it is 0.5 to 1 in source code
_MAX_BLANK = 0.1  # fraction of lines; it is about 0.2 in text of paragraphs, stanzas or functions
_MIN_DISTINCT = 0.5  # fraction of lines
_MIN_IN_ORDER = 0.9  # fraction of neighboring lines; it is about 0.5 in prose, verse and code

LIST, SORTED_LIST = "list", "sorted list"


def kind_of_list(beginning: bytes) -> str:
    """LIST or SORTED_LIST if the first EXAMINED bytes of a text are a list of short lines; else "".

    A list has distinct lines, few blank ones, and few that end like prose or look like code. A sorted list is
    recognized by its order alone.

    Example:
        >>> kind_of_list(b"".join(b"name %03d\\n" % k for k in range(100)))
        'sorted list'
        >>> kind_of_list(b"".join(b"name %03d\\n" % (k * 37 % 101) for k in range(100)))
        'list'
    """
    all_lines = beginning.decode("utf-8", "replace").split("\n")[:-1]
    lines = [line.rstrip() for line in all_lines if line.strip()]
    if len(lines) < _MIN_LINES:
        return ""
    lengths = sorted(map(len, lines))
    median, long = lengths[len(lines) // 2], lengths[len(lines) * 9 // 10]
    if median <= _MAX_SORTED_LINE and _is_sorted([line.strip() for line in lines]):
        return SORTED_LIST
    is_list = (
        median <= _MAX_LINE
        and long <= _MAX_LONG_LINE
        and sum(line[-1] in ".!?:,;" for line in lines) <= _MAX_LIKE_PROSE * len(lines)
        and sum(line[0] in " \t" or line[-1] in ";{}([\\" for line in lines) <= _MAX_LIKE_CODE * len(lines)
        and len(all_lines) - len(lines) <= _MAX_BLANK * len(all_lines)
        and len(set(lines)) >= _MIN_DISTINCT * len(lines)
    )
    return LIST if is_list else ""


def _is_sorted(lines: list[str]) -> bool:
    return any(_are_in_order(lines, key) for key in (str, _letters))


def _are_in_order(lines: list[str], key: Callable[[str], str]) -> bool:
    keys = list(map(key, lines))
    different = [(one, other) for one, other in zip(keys, keys[1:], strict=False) if one != other]
    ascending = sum(one < other for one, other in different)
    in_order = max(ascending, len(different) - ascending)
    return len(different) >= max(_MIN_LINES - 1, len(lines) // 2) and in_order >= _MIN_IN_ORDER * len(different)


def _letters(line: str) -> str:
    """The letters and digits of a line without accents, in lower case: most languages are sorted by them."""
    return "".join(c for c in unicodedata.normalize("NFKD", line).casefold() if c.isalnum())
