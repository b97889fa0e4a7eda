"""Functions that print a line, on stdout or stderr: their type, one that prints nothing, and lines printed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

PrintLine: TypeAlias = Callable[[str], None]


def print_nothing(line: str) -> None:
    """Drop the line."""


class PrintOnce:
    """Prints of the lines with the same key only the first one, by a function that prints a line.

    Example:
        >>> print_once = PrintOnce(print)
        >>> print_once("disk", "can't write a")
        can't write a
        >>> print_once("disk", "can't write b")
    """

    def __init__(self, print_line: PrintLine) -> None:
        self._print_line = print_line
        self._printed = set[str]()  # keys

    def __call__(self, key: str, line: str) -> None:
        """Print a line, unless one with this key was printed before."""
        if key not in self._printed:
            self._printed.add(key)
            self._print_line(line)
