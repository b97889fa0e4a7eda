"""The error message for a command line with more words than the command takes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Container, Sequence

from pycharrnn.common import near_paths, shell_words

_OPENING, _CLOSING = ("\u201c", "\u201e", "\u00ab"), ("\u201d", "\u201c", "\u00bb")  # of English, German, French


def sentence(
    command: str,
    arguments: Sequence[str],
    args: Sequence[str],
    flags: Container[str],
    text_flags: Container[str],
    left_over: str,
) -> str:
    """Which words are too many, and what was probably meant.

    Args:
        command: its name. arguments: what it takes, such as <model>. args: the command line after the command's name.
        flags: of the command; each takes a value. text_flags: those whose value is a text or a name.
        left_over: the words that are too many.
    """
    runs = _runs(args, flags)
    for _, words in runs:
        if advice := on_divided_name(words):
            return f"too many arguments ({left_over}): {advice}."
    for before, words in runs:
        if not before or before[0] not in text_flags:
            continue
        flag, value = before
        if said := on_quotes(flag, value, words):
            return f"{said}."
        if rest := " ".join(itertools.takewhile(lambda word: not os.path.exists(word), words)):
            together = shell_words.quoted(f"{value} {rest}")
            return f"{flag} takes one value, here {value}: to add {rest} to it, quote the whole: {flag} {together}."
    takes = f"{command} takes {' '.join(arguments)}" if arguments else f"{command} takes flags alone"
    if "-primefile" in flags:
        takes += '; put a prompt in quotes, as in -primetext "The end", or name its file: -primefile FILE'
    return f"too many arguments ({left_over}): {takes}."


def on_divided_name(words: Sequence[str], part: str = "") -> str:
    """Advice on near_paths.divided_name; "" if there is no such file."""
    name = near_paths.divided_name(words, part)
    return f"if you mean one name with spaces, quote it: {name}" if name else ""


def on_quotes(flag: str, value: str, words: Sequence[str]) -> str:
    """Advice on typographic quotes around a value and the words after it; "" if there are none."""
    if value[:1] in _OPENING and any(word[-1:] in _CLOSING for word in words):
        return f'the shell does not read the quotes in {flag} {value}: type straight ones, as in {flag} "The end"'
    return ""


def _runs(args: Sequence[str], flags: Container[str]) -> list[tuple[tuple[str, ...], list[str]]]:
    """The words that belong to no flag, where they follow each other; with the flag and the value before them, if any.

    Example:
        >>> _runs(["a", "-o", "my", "plot.png", "-gpuid", "0"], ("-o", "-gpuid"))
        [((), ['a']), (('-o', 'my'), ['plot.png'])]
    """
    runs: list[tuple[tuple[str, ...], list[str]]] = [((), [])]
    words = iter(args)
    for word in words:
        if word in flags:
            runs.append(((word, next(words, "")), []))
        elif word.split("=", 1)[0] in flags:
            runs.append(((), []))
        else:
            runs[-1][1].append(word)
    return [run for run in runs if run[1]]
