"""Writes the HTML page of `activations`, which colors a text by the activation of hidden units."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from compat.atomic_write import atomic_write
from compat.cells import CELLS
from pycharrnn.common.display import escape_html
from pycharrnn.page import html_style
from pycharrnn.page.html_style import LEVELS

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.analysis.activations import Reading

COMMAND = "activations"  # which writes such pages, and replaces them without -overwrite 1
_STYLE = """
body { padding: 1rem; max-width: 60rem }
h1 { font-size: 1.4rem }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem }
p { margin: .2rem 0 .6rem; color: var(--quiet) }
pre { margin: 0; max-height: 24rem }
pre:focus-visible { outline: 3px solid #0072b2 }
b { font-weight: inherit; padding: .1em 0; forced-color-adjust: none }
"""


def write(
    path: str | os.PathLike[str], name: str, network: Network, reading: Reading, units: list[tuple[int, int]]
) -> None:
    """Write a self-contained page. `name`: of the model; `units`: (layer, unit), both from 1. Errors: OSError."""
    title = escape_html(f"Hidden units of {name}")
    kind = "tanh(c)" if "c" in CELLS[network.model].states else "h"
    parts = [
        f"{html_style.head(COMMAND, title, _STYLE)}<main>",
        f"<h1>{title}</h1>",
        f"<p>{network.model}, {network.num_layers} x {network.rnn_size}. The color of a character shows {kind} of the"
        " unit after the model has read it. With a mouse, point at a character to see the number.</p>",
        f'<p class="scale" role="img" aria-label="Scale: orange is -1, no color 0, blue +1">{_scale()}</p>',
    ]
    for layer, unit in units:
        parts.append(_section(layer, unit, reading.characters, reading.values[:, layer - 1, unit - 1]))
    with atomic_write(path) as f:
        f.write("\n".join([*parts, "</main></html>\n"]).encode())


def _section(layer: int, unit: int, characters: list[str], values: npt.NDArray[np.float32]) -> str:
    anchor = f"layer{layer}unit{unit}"
    value_range = f"from {values.min():+.2f} to {values.max():+.2f}, mean {values.mean():+.2f}"
    return (
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">Layer {layer}, unit {unit}</h2><p>{value_range}</p>'
        f'<pre tabindex="0" role="region" aria-label="The text, colored by unit {unit} of layer {layer}">\n'
        f"{_colored(characters, values)}</pre></section>"
    )


def _colored(characters: list[str], values: npt.NDArray[np.float32]) -> str:
    """The text in <b> elements, one for each run of characters of one shade and one each newline. NaN counts as 0."""
    levels = np.rint(np.clip(np.nan_to_num(values), -1, 1) * LEVELS).astype(int).tolist()
    parts: list[str] = []
    before: tuple[int, bool] | None = None
    for character, level in zip(characters, levels, strict=True):
        kind = (level, character == "\n")
        if kind != before or character == "\n":
            parts.append(("</b>" if parts else "") + _opening(*kind))
            before = kind
        parts.append(escape_html(character))
    return "".join(parts) + "</b>"


def _opening(level: int, newline: bool) -> str:
    classes = " ".join(filter(None, (html_style.shade(level), "newline" if newline else "")))
    return f'<b class="{classes}" title="{level / LEVELS:+.1f}">'


def _scale() -> str:
    """Every second shade, which fits the screen of a phone."""
    return f"\u22121{html_style.scale(list(range(-LEVELS, LEVELS + 1, 2)))}+1"
