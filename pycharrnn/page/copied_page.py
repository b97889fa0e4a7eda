"""Writes the HTML page of `copied -html`, which colors a sample by the length of the copies in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from compat.atomic_write import atomic_write
from pycharrnn.common.display import escape_html, plural, replace_surrogates
from pycharrnn.page import html_style, page_files
from pycharrnn.page.bundle import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycharrnn.analysis.copied import Passage

COMMAND = "copied"  # which writes such pages, and replaces them without -overwrite 1
_MODULES = ("copied_file.js", "character_panel.js", "text_view.js", "item_kinds.js")  # its script, and what it imports
# Characters from which a copy has level 1, 2, ... of html_style.LEVELS.
_FROM = (1, 12, 16, 24, 32, 48, 64, 96, 128, 192)
_STYLE = """
body { max-width: 68rem; padding: 1rem }
main > div { display: grid; gap: 0 1.5rem; grid-template-columns: minmax(0, 1fr) 15rem }
@media (max-width: 64rem) { main > div { grid-template-columns: minmax(0, 1fr) } }
pre { margin: 0 }
#character { position: sticky; top: 1rem; align-self: start }
b { font-weight: inherit }
"""
_PANEL = """<section id="character" aria-labelledby="character-title" hidden>
<h2 id="character-title">Copied</h2>
<div id="candidates"></div>
</section>
<p id="announced" class="unseen" aria-live="polite"></p>
"""


def level(length: int) -> int:
    """The level of a copy of so many characters.

    Example:
        >>> [level(n) for n in (1, 20, 34, 500)]
        [1, 3, 5, 10]
    """
    return sum(length >= least for least in _FROM)


def write(
    path: str | os.PathLike[str], sample: str, text: str, content: bytes, found: list[Passage], least: int
) -> None:
    """Write a self-contained page.

    Args:
        sample, text: their names. content: of the sample.
        found: all passages of the sample to color, the longest first, with `least` characters or more.

    Errors: OSError.
    """
    with atomic_write(path) as f:
        title = escape_html(replace_surrogates(f"Copies in {sample}"))
        head = html_style.head(COMMAND, title, _STYLE + page_files.file_text("panel.css"))
        f.write(f"{head}<main>\n<h1>{title}</h1>\n{_legend(text, found, least)}\n".encode())
        f.write(b'<div>\n<pre tabindex="0" role="region" aria-label="Sample">\n')
        for stretch, longest in stretches(content, found):
            f.write(_colored(stretch, longest).encode())
        modules = {name: page_files.file_text(name) for name in _MODULES}
        f.write(
            f"</pre>\n{_PANEL}</div>\n</main>\n<script>\n{bundle(_MODULES[0], modules)}</script>\n</html>\n".encode()
        )


def _legend(text: str, found: list[Passage], least: int) -> str:
    name = escape_html(replace_surrogates(text))
    if not found:
        return f"<p>No passage of {least} or more characters is in {name}.</p>"
    longest = f"{found[0].length} {plural(found[0].length, 'character')}"
    shades = [-one for one in range(level(least), html_style.LEVELS + 1)]
    return (
        f"<p>The colored passages, of {least} or more characters, are in {name}, letter for letter. The longer a copy,"
        f" the deeper its color; the longest has {longest}. Point at a copy, tap it, or go to"
        " it with the left and right arrow keys, for its length and its place.</p>\n"
        f'<p class="scale">{least}{html_style.scale(shades)}{max(least, _FROM[-1])} or more</p>'
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
    length = f"{longest.length} {plural(longest.length, 'character')}"
    return f'<b class="{shade}" title="copied: {length}, {where}">{escaped}</b>'
