"""Writes the HTML page of `copied -html`, which colors a sample by the length of the copies in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from compat.atomic_write import atomic_write
from pycharrnn.analysis import html_style, own_files
from pycharrnn.common.display import escape_html, replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycharrnn.analysis.copied import Passage

# Characters from which a copy has level 1, 2, ... of html_style.LEVELS.
_FROM = (1, 12, 16, 24, 32, 48, 64, 96, 128, 192)
_STYLE = """
body { max-width: 50rem; padding: 1rem }
b { font-weight: inherit }
"""


def level(length: int) -> int:
    """The level of a copy of so many characters.

    Example:
        >>> [level(n) for n in (1, 20, 34, 500)]
        [1, 3, 5, 10]
    """
    return sum(length >= least for least in _FROM)


def write(path: str | os.PathLike[str], sample: str, text: str, content: bytes, found: list[Passage]) -> None:
    """Write a self-contained page.

    Args:
        sample, text: their names. content: of the sample. found: all passages of the sample to color.

    Errors: OSError.
    """
    with atomic_write(path) as f:
        title = escape_html(replace_surrogates(f"Copies in {sample}"))
        f.write(b'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n')
        f.write(f"{own_files.html_mark('copied')}\n<title>{title} - pycharrnn</title>\n".encode())
        f.write(b'<meta name="viewport" content="width=device-width, initial-scale=1">\n')
        f.write(
            f"<style>{html_style.style_sheet()}{_STYLE}</style>\n<h1>{title}</h1>\n{_legend(text)}\n<pre>\n".encode()
        )
        for stretch, longest in stretches(content, found):
            f.write(_colored(stretch, longest).encode())
        f.write(b"</pre>\n</html>\n")


def _legend(text: str) -> str:
    name = escape_html(replace_surrogates(text))
    return (
        f"<p>The colored passages are in {name}, letter for letter. The longer a copy, the deeper its color;"
        " point at it for its length and its place.</p>\n"
        f'<p class="scale">{_FROM[0]}{html_style.scale(list(range(-1, -html_style.LEVELS - 1, -1)))}'
        f"{_FROM[-1]} characters or more</p>"
    )


def stretches(sample: bytes, found: list[Passage]) -> Iterator[tuple[bytes, Passage | None]]:
    """The sample in stretches, each with the longest passage that covers it."""
    covering = np.full(len(sample) + 1, -1, np.int64)  # with an end that differs from every passage
    covering[-1] = -2
    for k in range(len(found) - 1, -1, -1):  # the longest last
        covering[found[k].start : found[k].start + len(found[k].encoded)] = k
    changes = np.flatnonzero(covering[1:] != covering[:-1]) + 1
    start = 0
    for end in changes.tolist():
        k = int(covering[start])
        yield sample[start:end], found[k] if k >= 0 else None
        start = end


def _colored(stretch: bytes, longest: Passage | None) -> str:
    escaped = escape_html(stretch.decode("utf-8", "replace"))
    if not longest:
        return escaped
    shade = html_style.shade(-level(longest.length))
    where = f"line {longest.text_line}, column {longest.text_column}"
    return f'<b class="{shade}" title="copied: {longest.length} characters, {where}">{escaped}</b>'
