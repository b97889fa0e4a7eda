"""Writes the HTML page of `score -html`, which colors each character of a text by its surprise."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from compat.atomic_write import atomic_write
from pycharrnn.analysis.scoring import as_sentence
from pycharrnn.checkpoints.names import short_names
from pycharrnn.common.display import escape_html, replace_surrogates
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.page import html_style
from pycharrnn.page.html_style import LEVELS, MAX_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycharrnn.analysis.scoring import Score

COMMAND = "score"  # which writes such pages, and replaces them without -overwrite 1
_STYLE = """
body { max-width: 50rem; padding: 1rem }
b { font-weight: inherit }
"""


def write(path: str | os.PathLike[str], model: str, scores: list[tuple[str, Score]]) -> None:
    """Write a self-contained page. `model`: path of the checkpoint; `scores`: (name of a text, its score).

    Errors: OSError.
    """
    with atomic_write(path) as f:
        title = escape_html(f"Surprise of {short_names([os.fspath(model)])[0]}")
        f.write(f"{html_style.head(COMMAND, title, _STYLE)}<main>\n<h1>{title}</h1>\n{_legend()}\n".encode())
        for name, score in scores:
            heading = escape_html(replace_surrogates(name))
            f.write(f"<h2>{heading}</h2>\n<p>{escape_html(as_sentence(score))}</p>\n<pre>".encode())
            for text, bits in _whole_characters(score):
                f.write((_colored(text, bits) if bits is not None else _underlined(text)).encode())
            f.write(b"</pre>\n")
        f.write(b"</main>\n</html>\n")


def _legend() -> str:
    return (
        "<p>The deeper the color, the more a character surprised the model."
        f" {_underlined('Underlined')}: never seen in training, and left out.</p>\n"
        f'<p class="scale">0{html_style.scale(list(range(0, -LEVELS - 1, -2)))}{MAX_BITS} bits or more</p>'
    )


def _whole_characters(score: Score) -> Iterator[tuple[str, float | None]]:
    """(text, bits) of each displayed character: the sum over its bytes, None if the vocabulary lacks one of them."""
    screen, found = ScreenText(), zip(score.bits.tolist(), score.known.tolist(), strict=True)
    for character in [*score.characters, None]:
        for text, count in screen.push(character) if character is not None else screen.end():
            pieces = list(itertools.islice(found, count))
            yield text, sum(bits for bits, _ in pieces) if all(known for _, known in pieces) else None


def _underlined(text: str) -> str:
    """HTML of a character that the model has never seen."""
    return f'<u class="unknown" title="never seen">{escape_html(text)}</u>'


def _colored(text: str, bits: float) -> str:
    """HTML of a character in the color of its surprise."""
    shade = html_style.shade(html_style.surprise_level(bits))
    escaped = escape_html(text)
    return f'<b class="{shade}" title="{bits:.1f} bits">{escaped}</b>' if shade else escaped
