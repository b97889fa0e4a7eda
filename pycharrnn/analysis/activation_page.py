"""A page, one HTML file without scripts, that colours a text by what hidden units hold after each character."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common.display import escape_html

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.analysis.activations import Reading

_LEVELS = 10  # shades on either side of 0

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #111; --quiet: #555; --line: #ccc; --most: .75 }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181c; --ink: #f2f2f2; --quiet: #aaa; --line: #444; --most: .85 }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem }
p { margin: .2rem 0 .6rem; color: var(--quiet) }
pre { margin: 0; padding: .6rem; border: 1px solid var(--line); border-radius: .3rem; max-height: 24rem; overflow: auto;
  font: .9rem/1.6 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
pre:focus-visible { outline: 3px solid #0072b2 }
b { font-weight: inherit; padding: .1em 0; forced-color-adjust: none }
.l::before { content: "\\21b5"; opacity: .6 }
.scale { display: flex; gap: .5rem }
.scale span { display: flex; outline: 1px solid var(--line) }
.scale b { width: 1.2em }
"""


def page(name: str, network: Network, reading: Reading, units: list[tuple[int, int]]) -> str:
    """The page as HTML, with a section for each unit.

    Args:
        name: the model's.
        units: (layer, unit), both from 1.
    """
    title = escape_html(f"Hidden units of {name}")
    kind = "tanh(c)" if network.model == "lstm" else "h"
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title} - pycharrnn</title><style>{_STYLE}{_shades()}</style></head><body><main>",
        f"<h1>{title}</h1>",
        f"<p>{network.model}, {network.num_layers} x {network.rnn_size}. The colour of a character is {kind} of the"
        " unit once the model has read it; resting on a character shows the number.</p>",
        f'<p class="scale" role="img" aria-label="Scale: orange is -1, no colour 0, blue +1">{_scale()}</p>',
    ]
    for layer, unit in units:
        parts.append(_section(layer, unit, reading.characters, reading.values[:, layer - 1, unit - 1]))
    return "\n".join([*parts, "</main></body></html>\n"])


def _section(layer: int, unit: int, characters: list[str], values: npt.NDArray[np.float32]) -> str:
    """A heading, the range of the unit's values, and the coloured text. `values`: (T,)."""
    anchor = f"layer{layer}unit{unit}"
    value_range = f"from {values.min():+.2f} to {values.max():+.2f}, mean {values.mean():+.2f}"
    return (
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">Layer {layer}, unit {unit}</h2><p>{value_range}</p>'
        f'<pre tabindex="0" role="region" aria-label="The text, coloured by unit {unit} of layer {layer}">\n'
        f"{_coloured(characters, values)}</pre></section>"
    )


def _coloured(characters: list[str], values: npt.NDArray[np.float32]) -> str:
    """The text in <b> elements, each of neighbours of the same shade; a newline has an element and a mark of its own.

    NaN, as of a model whose training failed, is shown as 0.
    """
    levels = np.rint(np.clip(np.nan_to_num(values), -1, 1) * _LEVELS).astype(int).tolist()
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
    """The start of a <b> element; `level`: from -_LEVELS to _LEVELS."""
    classes = _shade(level) + (" l" if newline else "")
    return f'<b class="{classes}" title="{level / _LEVELS:+.1f}">'


def _shade(level: int) -> str:
    """The CSS class of a level: n10 to n1, z for 0, p1 to p10."""
    return f"p{level}" if level > 0 else f"n{-level}" if level < 0 else "z"


def _shades() -> str:
    """The CSS rules of all classes of _shade."""
    colours = (("p", "0 114 178"), ("n", "213 94 0"))
    return "".join(
        f".{letter}{level}{{background:rgb({rgb}/calc(var(--most)*{level / _LEVELS:g}))}}\n"
        for letter, rgb in colours
        for level in range(1, _LEVELS + 1)
    )


def _scale() -> str:
    """The shades in a row, between what the outer ones mean: short enough for a phone."""
    blocks = "".join(f'<b class="{_shade(k)}"></b>' for k in range(-_LEVELS, _LEVELS + 1, 2))
    return f"\u22121<span>{blocks}</span>+1"
