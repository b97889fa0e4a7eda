"""Existing files and folders that a mistyped path, or several words, may stand for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence

from pycharrnn.common import shell_words

_MAX_WORDS = 32  # of a name that was not quoted
_SIMILARITY = 0.8  # of difflib: one wrong letter in five


def near(path: str, is_wanted: Callable[[str], bool] = lambda found: True, elsewhere: Sequence[str] = ()) -> str:
    """An existing path that is wanted and nearly named like `path`, or in other case, or with an ending; "" if none.

    Args:
        path: a path that does not exist.
        is_wanted: whether an existing file or folder may be suggested.
        elsewhere: folders to look in as well if `path` has none.

    For example, near("my_txt.txt") is "my_text.txt" if that file exists.
    """
    folder, name = os.path.split(path)
    for place in (folder, *(() if folder else elsewhere)):
        try:
            entries = sorted(os.listdir(place or "."))
        except (OSError, ValueError):
            continue
        paths = {e: os.path.join(place, e) for e in entries if not e.startswith(".")}
        known = [e for e, found in paths.items() if os.path.exists(found) and is_wanted(found)]  # no broken link
        in_other_case = [e for e in known if e.lower() == name.lower()]
        longer = [e for e in known if os.path.splitext(e)[0].lower() == name.lower()]
        if found := in_other_case or longer or difflib.get_close_matches(name, known, 1, _SIMILARITY):
            return os.path.join(place, found[0])
    return ""


def divided_name(words: Sequence[str], part: str = "") -> str:
    """The file whose name was typed without quotes, so that it is several of `words`; "" if there is none.

    `part`: one of those words; "" for any. The name is quoted for a command line.
    """
    if part and part not in words:
        return ""
    at = words.index(part) if part else 0
    firsts = range(max(at + 1 - _MAX_WORDS, 0), at + 1) if part else range(len(words))
    for first in firsts:  # not all of thousands of names, which takes minutes
        for end in range(max(first + 2, at + 1), min(first + _MAX_WORDS, len(words)) + 1):
            if os.path.exists(whole := " ".join(words[first:end])):
                return shell_words.quoted(whole)
    return ""
