"""A page of texts, each character coloured by how much it surprised a model."""

from __future__ import annotations

import html
import itertools
import os
from collections.abc import Iterator

from compat.whole_file import whole_file
from pycharrnn.analysis.scoring import Score, facts
from pycharrnn.common.screen_text import ScreenText, visible

_LEVELS = (1, 2, 3, 4, 6, 8, 11)  # bits from which on a character is coloured one level deeper
_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 0.95rem/1.6 ui-monospace, monospace; }
b { font-weight: normal; border-radius: 0.15em; }
"""


def write(path: str | os.PathLike, model: str, scores: list[tuple[str, Score]]) -> None:
    """Write a page that needs nothing else, whole or not at all.

    Args:
        model: name of the checkpoint. scores: (name of a text, its score).

    Errors: OSError.
    """
    shades = "".join(
        f".s{level} {{ background: rgb(230 110 0 / {0.11 * level:.2f}); }}\n" for level in range(1, len(_LEVELS) + 1)
    )
    with whole_file(path) as f:
        title = html.escape(f"Surprise of {_shown(os.path.basename(model))}")
        f.write(f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'.encode())
        f.write(b'<meta name="viewport" content="width=device-width, initial-scale=1">\n')
        f.write(f"<style>{_STYLE}{shades}</style>\n<h1>{title}</h1>\n<p>{_legend()}</p>\n".encode())
        for name, score in scores:
            f.write(f"<h2>{html.escape(_shown(name))}</h2>\n<p>{html.escape(facts(score))}</p>\n<pre>".encode())
            for text, bits in _whole_characters(score):
                f.write(_colored(text, bits).encode())
            f.write(b"</pre>\n")
        f.write(b"</html>\n")


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def _legend() -> str:
    shown = "".join(_colored(f" {least} ", least) for least in _LEVELS)
    return f"The deeper the colour, the more a character surprised the model: from {shown} bits."


def _whole_characters(score: Score) -> Iterator[tuple[str, float]]:
    """(text, bits), where the bytes of one UTF-8 character count together."""
    screen, bits = ScreenText(), iter(score.bits.tolist())
    for character in score.characters:
        for text, pieces in screen.push(character):
            yield text, sum(itertools.islice(bits, pieces))
    for text, pieces in screen.end():
        yield text, sum(itertools.islice(bits, pieces))


def _colored(text: str, bits: float) -> str:
    level = sum(bits >= least for least in _LEVELS)
    shown = html.escape(visible(text))
    return f'<b class="s{level}" title="{bits:.1f} bits">{shown}</b>' if level else shown
