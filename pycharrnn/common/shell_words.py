"""Quoting for commands in messages, as the user's shell reads them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

# Control characters, and bytes of a file name that are not UTF-8: a message shows them as escapes.
_NEEDS_ESCAPES = re.compile("[\x00-\x1f\x7f-\x9f\udc80-\udcff]")
_PLAIN_ON_WINDOWS = re.compile(r"[\w\\/:.+=-]+")  # to cmd.exe and to PowerShell


def quoted(word: str) -> str:
    """Quote a word if necessary, for a POSIX shell or for Windows.

    Example:
        >>> quoted("cv"), quoted("my cv"), quoted("my\\tcv")
        ('cv', "'my cv'", "$'my\\\\011cv'")
    """
    if os.name != "nt":
        return _ansi_c_quoted(word) if _NEEDS_ESCAPES.search(word) else shlex.quote(word)
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    # Like subprocess.list2cmdline, but quotes R&D, which is two commands for cmd.exe. Backslashes count before quotes.
    return '"' + re.sub(r'(\\+)("|\Z)', r"\1\1\2", word).replace('"', '\\"') + '"'


def _ansi_c_quoted(word: str) -> str:
    """A word with escapes in octal, which bash, ksh and zsh read."""

    def escaped(match: re.Match[str]) -> str:
        return "".join(f"\\{byte:03o}" for byte in match[0].encode("utf-8", "surrogateescape"))

    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_NEEDS_ESCAPES.sub(escaped, plain)}'"


def operand(path: str) -> str:
    """A path that no command takes for a flag: ./-x for -x."""
    return f"./{path}" if path.startswith("-") else path


def joined(words: Iterable[str]) -> str:
    """A command line of these words."""
    return " ".join(map(quoted, words))
