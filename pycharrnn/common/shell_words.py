"""Quoting for commands in messages, as the user's shell reads them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

_PLAIN_ON_WINDOWS = re.compile(r"[\w\\/:.+=-]+")  # to cmd.exe and to PowerShell


def quoted(word: str) -> str:
    """Quote a word if necessary, for a POSIX shell or for Windows.

    Example:
        >>> quoted("cv"), quoted("my cv")
        ('cv', "'my cv'")
    """
    if os.name != "nt":
        return shlex.quote(word)
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    # Like subprocess.list2cmdline, but quotes R&D, which is two commands for cmd.exe. Backslashes count before quotes.
    return '"' + re.sub(r'(\\+)("|\Z)', r"\1\1\2", word).replace('"', '\\"') + '"'


def operand(path: str) -> str:
    """A path that no command takes for a flag: ./-x for -x."""
    return f"./{path}" if path.startswith("-") else path


def joined(words: Iterable[str]) -> str:
    """A command line of these words."""
    return " ".join(map(quoted, words))
