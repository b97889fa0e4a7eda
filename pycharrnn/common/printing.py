"""The type of a function that prints a line, on stdout or stderr, and one such function that prints nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

PrintLine: TypeAlias = Callable[[str], None]


def print_nothing(line: str) -> None:
    """Drop the line."""
