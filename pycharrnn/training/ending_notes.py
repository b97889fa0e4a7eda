"""Formats the messages on failed saves and on the end of a run, and parses them for the studio."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PATIENCE_NOTE = re.compile(
    r"stopping after iteration \d+: the last (\d+) validations? \(-patience\) (?:was|were) no better\."
)
_FAILED_SAVE = re.compile(r"can't write .+: trying again at the next save; .*")
_SAVED_AGAIN = "saving works again: "
_NOT_SAVED = "that could not be saved ("


def patience_note(i: int, patience: int) -> str:
    """The line on stderr of a run that is out of patience after iteration `i`."""
    were = f"{patience} validations (-patience) were" if patience > 1 else "1 validation (-patience) was"
    return f"stopping after iteration {i}: the last {were} no better."


def patience_in(line: str) -> int:
    """The patience in a line of patience_note; 0 for any other line.

    Example:
        >>> patience_in(patience_note(500, 4)), patience_in("finished")
        (4, 0)
    """
    found = _PATIENCE_NOTE.fullmatch(line)
    return int(found[1]) if found else 0


def failed_save(path: str, why: str, last_good: str) -> str:
    """The line on stderr of the first of some saves that fail; `last_good` names an earlier checkpoint."""
    return f"can't write {path} ({why}): trying again at the next save; {last_good}."


def saved_again(path: str) -> str:
    """The line on stderr of the first save that works after some that failed."""
    return f"{_SAVED_AGAIN}{path} is written."


def failed_save_in(lines: Iterable[str]) -> str:
    """The last line of failed_save; "" if there is none, or one of saved_again comes after it.

    Example:
        >>> lines = [failed_save("a.t7", "disk full", "there is no good checkpoint"), "another line"]
        >>> failed_save_in(lines) == lines[0], failed_save_in([*lines, saved_again("b.t7")])
        (True, '')
    """
    found = ""
    for line in lines:
        if _FAILED_SAVE.fullmatch(line):
            found = line
        elif line.startswith(_SAVED_AGAIN):
            found = ""
    return found


def not_saved(why: str, last_good: str) -> str:
    """The end of the message of a run that stopped and could not save its state; `last_good` names an earlier one."""
    return f"{_NOT_SAVED}{why}), {last_good}."


def says_not_saved(line: str) -> bool:
    """Whether a message has an end of not_saved.

    Example:
        >>> says_not_saved("stopped after iteration 7; " + not_saved("disk full", "nothing has been saved"))
        True
    """
    return _NOT_SAVED in line
