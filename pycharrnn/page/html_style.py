"""The style sheet and the color scale that all HTML outputs share: pages, pages to play on, notebooks.

Shades are orange for improbable characters and negative activations, blue for positive activations: colors of Okabe
and Ito, which people with any color vision can tell apart. A shade is a level from -LEVELS, orange, to LEVELS, blue.
"""

from __future__ import annotations

import math

from pycharrnn.analysis import own_files

LEVELS = 10  # shades of each color
MAX_BITS = 10  # bits of surprise that get the deepest shade: one level for each bit

_ORANGE, _BLUE = "213 94 0", "0 114 178"  # as CSS's rgb() takes them
_OPACITY = 0.75  # of the deepest shade

_BASE = f"""
:root {{
  color-scheme: light dark;
  --page: #fff; --ink: #16181c; --quiet: #565b63; --line: #7d838c; --opacity: {_OPACITY};
}}
@media (prefers-color-scheme: dark) {{
  :root {{ --page: #16181c; --ink: #f2f2f2; --quiet: #aab0b8; --line: #767d87; --opacity: .8 }}
}}
body {{ margin: 0 auto; background: var(--page); color: var(--ink); font: 1rem/1.45 system-ui, sans-serif;
  -webkit-text-size-adjust: 100%; text-size-adjust: 100% }} /* a phone on its side would enlarge some texts */
h1, h2 {{ overflow-wrap: anywhere }}
pre {{ padding: .7rem; overflow: auto; border: 1px solid var(--line); border-radius: .3rem;
  font: .95rem/1.6 ui-monospace, monospace; white-space: break-spaces; overflow-wrap: anywhere;
  unicode-bidi: plaintext }}
pre .newline::before {{ content: "\\21b5"; opacity: .55 }}
/* Safari knows all three in one since 26.2. */
.unknown {{ text-decoration: underline; text-decoration-style: dotted; text-decoration-color: var(--quiet);
  text-underline-offset: .25em }}
.scale {{ display: flex; flex-wrap: wrap; align-items: center; gap: 0 .5rem; color: var(--quiet) }}
.scale span {{ display: flex; outline: 1px solid var(--line) }}
.scale i {{ display: inline-block; width: 1.1em; height: 1.1em; forced-color-adjust: none }}
/* On paper nothing scrolls, and the colors stay, which browsers would leave out to save ink. */
@media print {{
  pre, ol, #about {{ max-height: none !important; overflow: visible !important }}
  pre *, .scale i {{ -webkit-print-color-adjust: exact; print-color-adjust: exact }}
}}
"""


def surprise_level(bits: float) -> int:
    """The level of a character's surprise: orange, or 0.

    Example:
        >>> [surprise_level(bits) for bits in (0.3, 2.5, 40)]
        [0, -3, -10]
    """
    if math.isnan(bits):  # of a model whose training diverged
        return 0
    return -math.floor(LEVELS * min(bits / MAX_BITS, 1) + 0.5)


def shade(level: int) -> str:
    """The CSS class of a level; "" for 0."""
    return f"b{level}" if level > 0 else f"o{-level}" if level < 0 else ""


def color(level: int) -> str:
    """The CSS color of a level, for elements without the style sheet; transparent enough for light and dark pages."""
    return f"rgb({_BLUE if level > 0 else _ORANGE} / {_OPACITY * abs(level) / LEVELS:.3g})"


def scale(levels: list[int]) -> str:
    """HTML that shows the shades of some levels in a row, for a legend."""
    blocks = "".join(f'<i class="{shade(level)}"></i>' for level in levels)
    return f'<span aria-hidden="true">{blocks}</span>'


def head(command: str, title: str, style: str) -> str:
    """The beginning of a page that `command` writes, up to its heading. `title`: as HTML. `style`: more rules."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"{own_files.html_mark(command)}\n<title>{title} - pycharrnn</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{style_sheet()}{style}</style>\n"
    )


def style_sheet() -> str:
    """The shared rules, and one for each shade."""
    shades = (
        f".{letter}{level} {{ background: rgb({rgb} / calc(var(--opacity) * {level / LEVELS:g})) }}\n"
        for letter, rgb in (("o", _ORANGE), ("b", _BLUE))
        for level in range(1, LEVELS + 1)
    )
    return _BASE + "".join(shades)
