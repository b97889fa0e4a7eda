"""The value of -anneal_to: at which iterations the length of a run was changed, and from which length."""

from __future__ import annotations

import re
from collections.abc import Sequence

ALLOWED = "N:I or N:I,N:I,... with I rising and each N at least its I, as in 3600:1200"
_CHANGE = re.compile(r"([1-9][0-9]{0,11}):([1-9][0-9]{0,11})")

Change = tuple[int, int]  # (iterations of the run until then, last iteration of that plan)


def parse(text: str) -> list[Change] | None:
    """The changes that a value of -anneal_to names; None if it is not valid.

    Example:
        >>> parse("3600:1200,3300:2000")
        [(3600, 1200), (3300, 2000)]
    """
    matches = [_CHANGE.fullmatch(part) for part in text.split(",")] if text else []
    changes = [(int(match[1]), int(match[2])) for match in matches if match]
    starts = [at for _, at in changes]
    rises = all(a < b for a, b in zip(starts, starts[1:], strict=False))
    holds = len(changes) == len(matches) and rises and all(length >= at for length, at in changes)
    return changes if holds else None


def appended(text: str, length: int, at: int) -> str:
    """The value after a further change, of a run of `length` iterations at iteration `at`.

    A second change at the same iteration replaces nothing: the plan between them was never used.
    """
    changes = parse(text) or []
    if not changes or changes[-1][1] < at:
        changes.append((length, at))
    return words(changes)


def words(changes: Sequence[Change]) -> str:
    """The value of -anneal_to, the inverse of `parse`."""
    return ",".join(f"{length}:{at}" for length, at in changes)
