"""Recognizes lists and the header of a table.

A list has short lines, such as names or titles, sorted or not, or items with blank lines between them, such as haiku.
"""

from __future__ import annotations

import csv
import itertools
import unicodedata
from collections import Counter
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
_COMPARED = 200  # characters of a line without accents: normalizing a run of accents takes quadratic time

_MIN_BLOCKS = 40
_BLOCK_LINES = range(2, 7)  # paragraphs without line breaks have one
_MAX_BLOCK_LINE = 40  # characters of the median line
_MIN_ALIKE = 0.9  # fraction of blocks with as many lines as most; speeches, paragraphs and functions vary
_MAX_RUNNING_ON = 0.05  # fraction of blocks; it is about 0.2 in the stanzas of a long poem

_MAX_ROWS = 1000  # of a table
_MIN_NUMBERS = 0.9  # fraction of the rows
_COLUMN_NAMES = {
    *("name", "names", "first name", "firstname", "last name", "lastname", "surname", "sex", "gender", "author"),
    *("title", "titles", "text", "label", "category", "type", "language", "country", "city", "town", "year", "date"),
    *("smiles", "id", "split"),
}

LIST, SORTED_LIST, BLOCKS = "list", "sorted list", "list with blank lines between items"
ITEMS = {LIST: "line", SORTED_LIST: "line", BLOCKS: "blank"}  # the value of -items


def kind_of_list(beginning: bytes) -> str:
    """LIST, SORTED_LIST or BLOCKS if the first EXAMINED bytes of a text are a list; else "".

    A list has distinct lines, few blank ones, and few that end like prose or look like code. A sorted list is
    recognized by its order alone, and a list with blank lines by items of equally many short lines.

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
    if median <= _MAX_BLOCK_LINE and _are_blocks(all_lines):
        return BLOCKS
    is_list = (
        median <= _MAX_LINE
        and long <= _MAX_LONG_LINE
        and sum(line[-1] in ".!?:,;" for line in lines) <= _MAX_LIKE_PROSE * len(lines)
        and sum(line[0] in " \t" or line[-1] in ";{}([\\" for line in lines) <= _MAX_LIKE_CODE * len(lines)
        and len(all_lines) - len(lines) <= _MAX_BLANK * len(all_lines)
        and len(set(lines)) >= _MIN_DISTINCT * len(lines)
    )
    return LIST if is_list else ""


def _are_blocks(lines: list[str]) -> bool:
    """Whether lines between blank ones are items: nearly all equally many, distinct, each of whole sentences."""
    blocks = [
        tuple(block) for is_blank, block in itertools.groupby(lines, lambda line: not line.strip()) if not is_blank
    ]
    if len(blocks) < _MIN_BLOCKS:
        return False
    ends = [block[-1].rstrip()[-1] for block in blocks]
    ((count, alike),) = Counter(map(len, blocks)).most_common(1)
    return (
        count in _BLOCK_LINES
        and alike >= _MIN_ALIKE * len(blocks)
        and sum(end in ",;:-" for end in ends) <= _MAX_RUNNING_ON * len(blocks)
        and sum(end in "{}([\\" for end in ends) <= _MAX_LIKE_CODE * len(blocks)
        and len(set(blocks)) >= _MIN_DISTINCT * len(blocks)
    )


def header(beginning: bytes) -> str:
    """The first line of a list of items if it is the header of a table, as in a .csv file; else "".

    It names its columns without digits. Each name is one of _COLUMN_NAMES; or there are several columns, and one has
    such a name, or numbers in nearly all other lines.

    Example:
        >>> header(b"Name,Count\\nAda,12\\nBob,7\\n"), header(b"Ada\\nBob\\n")
        ('Name,Count', '')
    """
    lines = [line for line in beginning.decode("utf-8", "replace").split("\n") if line.strip()]
    if len(lines) < 3 or any(c.isdigit() for c in lines[0]):
        return ""
    separator = max("\t,;", key=lines[0].count)
    try:
        first, *rows = csv.reader(lines[:_MAX_ROWS], delimiter=separator)
    except csv.Error:
        return ""
    if not all(name.strip() for name in first):
        return ""
    are_known = [name.strip().casefold() in _COLUMN_NAMES for name in first]
    if all(are_known):
        return lines[0]
    alike = [row for row in rows if len(row) == len(first)]
    if any(are_known) and len(alike) >= _MIN_ALIKE * len(rows):
        return lines[0]
    has_numbers = len(alike) >= 2 and any(
        sum(_is_number(row[k]) for row in alike) >= _MIN_NUMBERS * len(alike) for k in range(len(first))
    )
    return lines[0] if has_numbers and len(first) > 1 else ""


def _is_number(text: str) -> bool:
    return bool(text.strip()) and all(c in "0123456789.-+ %" for c in text.strip())


def _is_sorted(lines: list[str]) -> bool:
    return any(_are_in_order(lines, key) for key in (str, _letters))


def _are_in_order(lines: list[str], key: Callable[[str], str]) -> bool:
    keys = list(map(key, lines))
    different = [(one, other) for one, other in zip(keys, keys[1:], strict=False) if one != other]
    ascending = sum(one < other for one, other in different)
    in_order = max(ascending, len(different) - ascending)
    return len(different) >= max(_MIN_LINES - 1, len(lines) // 2) and in_order >= _MIN_IN_ORDER * len(different)


def _letters(line: str) -> str:
    """The first letters and digits of a line without accents, in lower case: most languages are sorted by them."""
    return "".join(c for c in unicodedata.normalize("NFKD", line[:_COMPARED]).casefold() if c.isalnum())
