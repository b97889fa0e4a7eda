"""Recognizes a list of short lines in alphabetical order, for `train FILES`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

EXAMINED = 1 << 20  # bytes of the beginning of a text
_MIN_LINES = 40
_MAX_LINE = 40  # characters of the median line; prose and most tables have longer ones
_MIN_IN_ORDER = 0.9  # fraction of neighboring lines; it is about 0.5 in prose, verse and code


def is_sorted_list(beginning: bytes) -> bool:
    """Whether the first EXAMINED bytes of a text are short lines in ascending or descending order.

    Example:
        >>> is_sorted_list(b"".join(b"name %03d\\n" % k for k in range(100)))
        True
    """
    lines = [line.strip() for line in beginning.decode("utf-8", "replace").split("\n")]
    lines = [line for line in lines[:-1] if line]
    if len(lines) < _MIN_LINES or sorted(map(len, lines))[len(lines) // 2] > _MAX_LINE:
        return False
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
