"""HTML of texts, models and runs for notebooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pycharrnn.common.display import escape_html
from pycharrnn.page import html_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_SHOWN = 10_000  # characters of a text: browsers become slow with more
# word-break is break-all in Jupyter, which breaks lines within words.
_STYLE = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"


def tinted(pieces: Sequence[str], probabilities: Sequence[float], given: int) -> str:
    """A text colored by surprise; the first `given` characters were not sampled and are bold."""
    shown = list(zip(pieces, probabilities, strict=True))[:_MOST_SHOWN]
    parts = [f"<b>{escape_html(piece)}</b>" for piece, _ in shown[:given]]
    parts += [_colored(piece, probability) for piece, probability in shown[given:]]
    if len(pieces) > _MOST_SHOWN:
        parts.append(f"<i> ... and {len(pieces) - _MOST_SHOWN:,} characters more</i>")
    return f'<pre style="{_STYLE}">{"".join(parts)}</pre>'


def table(rows: Mapping[str, str]) -> str:
    """A table of names and values; empty values are left out."""
    cells = (
        f"<tr><th>{escape_html(name)}</th><td>{escape_html(value)}</td></tr>" for name, value in rows.items() if value
    )
    return f"<table>{''.join(cells)}</table>"


def _colored(piece: str, probability: float) -> str:
    level = html_style.surprise_level(-math.log2(probability) if probability > 0 else math.inf)
    if not level:
        return escape_html(piece)
    style = f"background: {html_style.color(level)}"
    return f'<span style="{style}" title="{100 * probability:.2g}%">{escape_html(piece)}</span>'
