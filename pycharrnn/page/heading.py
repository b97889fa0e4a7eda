"""Puts the title and the description of a page into its HTML: the heading, the name of the tab, previews of links."""

from __future__ import annotations

from pycharrnn.common.display import escape_html, replace_surrogates

_DESCRIPTION = "A small neural network that writes text, in your browser."


def replacements(title: str, about: str, text_name: str) -> dict[str, str]:
    """Parts of index.html -> what replaces them.

    Args:
        title: "" = the name of the text that the selected model was trained on, `text_name` at first.
        about: plain text below the heading, which keeps its lines; "" = none.
    """
    heading, fixed = (_line(title), " data-fixed") if title.strip() else (_line(text_name), "")
    description = _line(about) or _DESCRIPTION
    parts = {
        "<title>pycharrnn</title>": f"<title>{heading}</title>\n"
        f'<meta name="description" content="{description}">\n'
        '<meta property="og:type" content="website">\n'
        f'<meta property="og:title" content="{heading}">\n'
        f'<meta property="og:description" content="{description}">',
        '<h1 id="title">pycharrnn</h1>': f'<h1 id="title"{fixed}>{heading}</h1>',
    }
    if about.strip():
        lines = "\n".join(_html(line) for line in about.strip().splitlines())
        parts['<p id="about" hidden></p>'] = f'<p id="about" tabindex="0" role="region" aria-label="About">{lines}</p>'
    return parts


def _line(text: str) -> str:
    return _html(" ".join(text.split()))


def _html(text: str) -> str:
    return escape_html(replace_surrogates(text))
