"""A page of texts, each character coloured by how much it surprised a model."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from compat.atomic_write import atomic_write
from pycharrnn.analysis import tint
from pycharrnn.analysis.scoring import as_sentence
from pycharrnn.checkpoints.names import short_names
from pycharrnn.common.display import escape_html, replace_surrogates
from pycharrnn.common.screen_text import ScreenText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycharrnn.analysis.scoring import Score

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }
h1, h2 { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 0.95rem/1.6 ui-monospace, monospace; }
b { font-weight: normal; border-radius: 0.15em; }
u { text-decoration: underline dotted; opacity: 0.6; }
"""


def write(path: str | os.PathLike[str], model: str, scores: list[tuple[str, Score]]) -> None:
    """Write a page that loads no other file, whole or not at all.

    Args:
        model: path of the checkpoint.
        scores: (name of a text, its score).

    Errors: OSError.
    """
    shades = "".join(f".s{k} {{ background: {tint.colour(k)}; }}\n" for k in range(1, len(tint.LEVELS) + 1))
    with atomic_write(path) as f:
        title = escape_html(f"Surprise of {short_names([os.fspath(model)])[0]}")
        f.write(b'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n')
        f.write(f"<title>{title} - pycharrnn</title>\n".encode())
        f.write(b'<meta name="viewport" content="width=device-width, initial-scale=1">\n')
        f.write(f"<style>{_STYLE}{shades}</style>\n<h1>{title}</h1>\n<p>{_legend()}</p>\n".encode())
        for name, score in scores:
            heading = escape_html(replace_surrogates(name))
            f.write(f"<h2>{heading}</h2>\n<p>{escape_html(as_sentence(score))}</p>\n<pre>".encode())
            for text, bits in _whole_characters(score):
                f.write((_colored(text, bits) if bits is not None else _underlined(text)).encode())
            f.write(b"</pre>\n")
        f.write(b"</html>\n")


def _legend() -> str:
    """A sentence that shows from how many bits on each colour is used."""
    levels = "".join(_colored(f" {least} ", least) for least in tint.LEVELS)
    return (
        f"The deeper the colour, the more a character surprised the model: from {levels} bits."
        f" {_underlined('Underlined')}: what it has never seen, which is left out."
    )


def _whole_characters(score: Score) -> Iterator[tuple[str, float | None]]:
    """(text, bits) of each character on a screen; the bits of all bytes of a UTF-8 character are added.

    None for the bits of a character of which the model has never seen some part.
    """
    screen, found = ScreenText(), zip(score.bits.tolist(), score.known.tolist(), strict=True)
    for character in [*score.characters, None]:
        for text, count in screen.push(character) if character is not None else screen.end():
            pieces = list(itertools.islice(found, count))
            yield text, sum(bits for bits, _ in pieces) if all(known for _, known in pieces) else None


def _underlined(text: str) -> str:
    """HTML of what has no surprise."""
    return f'<u title="never seen">{escape_html(text)}</u>'


def _colored(text: str, bits: float) -> str:
    """HTML of one character, in the colour of its surprise."""
    level = tint.level(bits)
    escaped = escape_html(text)
    return f'<b class="s{level}" title="{bits:.1f} bits">{escaped}</b>' if level else escaped
