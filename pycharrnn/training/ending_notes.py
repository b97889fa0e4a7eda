"""Formats the messages with which a run ends, and parses them for the studio."""

from __future__ import annotations

import re

_PATIENCE_NOTE = re.compile(
    r"stopping after iteration \d+: the last (\d+) validations? \(-patience\) (?:was|were) no better\."
)
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
