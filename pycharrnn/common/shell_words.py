"""Quoting for commands in messages, as the user's shell reads them."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable

_PLAIN_ON_WINDOWS = re.compile(r"[\w\\/:.+=-]+")  # to cmd.exe and to PowerShell


def quoted(word: str) -> str:
    """Quote a word if necessary, for a POSIX shell or for Windows.

    Example:
        >>> quoted("cv"), quoted("my cv"), quoted("my\\tcv")
        ('cv', "'my cv'", "$'my\\\\011cv'")
    """
    if os.name != "nt":
        return _ansi_c_quoted(word) if any(map(_needs_escape, word)) else shlex.quote(word)
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    # Like subprocess.list2cmdline, but quotes R&D, which is two commands for cmd.exe. Backslashes count before quotes.
    return '"' + re.sub(r'(\\+)("|\Z)', r"\1\1\2", word).replace('"', '\\"') + '"'


def _needs_escape(character: str) -> bool:
    """Whether a message may show a character as an escape."""
    # Spaces such as U+3000 are shown as they are.
    return not character.isprintable() and unicodedata.category(character) != "Zs"


def _ansi_c_quoted(word: str) -> str:
    """A word with escapes in octal, which bash, ksh and zsh read."""

    def escaped(character: str) -> str:
        return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))

    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(escaped(c) if _needs_escape(c) else c for c in plain)}'"


def operand(path: str) -> str:
    """A path that no command takes for a flag: ./-x for -x. Standard input, -, stays."""
    return f"./{path}" if path.startswith("-") and path != "-" else path


def joined(words: Iterable[str]) -> str:
    """A command line of these words."""
    return " ".join(map(quoted, words))
