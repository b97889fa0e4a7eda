"""The page as one HTML file that holds its models, loads nothing, and needs no server.

What comes from a checkpoint is data there: JSON in which every < is an escape, or escaped HTML. A content security
policy lets the page run its own scripts, by their hashes, and nothing else, and open no connection.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from compat.atomic_write import atomic_write
from pycharrnn.checkpoints import payload
from pycharrnn.checkpoints.names import distinct_names
from pycharrnn.common.display import escape_html
from pycharrnn.common.errors import UserError
from pycharrnn.page.bundle import UnknownForm, bundle
from pycharrnn.page.facts import facts_of, losses_of
from pycharrnn.page.page_files import page_files

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint

_LONGEST = 500_000_000  # characters of a model's JSON: browsers hold little more in one string

Model = dict[str, Any]  # as JSON; a name is given to it when it is written


def model_of(path: str, loaded: Checkpoint, half: bool) -> Model:
    """What a page holds of a checkpoint.

    Args:
        path: of its file. half: whether its weights are rounded to 16 bits.

    Errors: UserError for one that is too large.
    """
    # When its file was written is left out, so that the same checkpoint gives the same page.
    facts = {**dataclasses.asdict(facts_of(loaded, "", 0.0)), "saved": None}
    model = {**payload.encode(loaded, half=half), "facts": facts, "losses": dataclasses.asdict(losses_of(loaded))}
    if len(model["weights"]) > _LONGEST:
        hint = "" if half else ": -half 1 rounds them to 16 bits"
        raise UserError(f"the weights of {path} are more than a browser can read from a page{hint}.")
    return model


def write(path: str | os.PathLike[str], models: Sequence[tuple[str, Model]], half: bool) -> int:
    """Write a page, whole or not at all.

    Args:
        models: (path of a checkpoint, what model_of made of it), in the order in which the page offers them.
        half: as for model_of.

    Returns: its size in bytes.

    Errors: OSError.
    """
    names = distinct_names([checkpoint for checkpoint, _ in models])
    before, after = _frame(names, half)
    with atomic_write(path) as f:
        size = f.write(before.encode())
        for name, (_, model) in zip(names, models, strict=True):
            named = {**model, "name": name, "facts": {**model["facts"], "id": name}}
            size += f.write(b"".join([payload.ELEMENT, _json(named), payload.ELEMENT_END, b"\n"]))
        return size + f.write(after.encode())


def _json(value: object) -> bytes:
    """JSON in ASCII that no HTML parser takes for the end of the element that it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").encode()


def _frame(names: list[str], half: bool) -> tuple[str, str]:
    """The page before its models and after them."""
    files = {name: content.decode() for name, content in page_files().items()}
    script, worker, style = bundle("file.js", files), bundle("worker.js", files), files["style.css"]
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; worker-src blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    icon = base64.b64encode(files["icon.svg"].encode()).decode()
    title = f"{names[0] if len(names) == 1 else f'{len(names)} models'} - pycharrnn"
    page = _with(
        files["index.html"],
        {
            '<meta charset="utf-8">': '<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            "<title>pycharrnn</title>": f"<title>{escape_html(title)}</title>",
            'href="icon.svg" type="image/svg+xml"': f'href="data:image/svg+xml;base64,{icon}"',
            '<link rel="stylesheet" href="style.css">': f"<style>{style}</style>",
            '<script type="module" src="server.js"></script>\n': "",
            "</main>\n": f'</main>\n<footer class="quiet">{escape_html(_about(names, half))}</footer>\n',
        },
    )
    before, end, after = page.partition("</body>")
    # The worker is text here: the page's script makes a program of it.
    scripts = f'<script type="text/plain" id="worker">{worker}</script>\n<script type="module">{script}</script>\n'
    return before, scripts + end + after


def _with(page: str, parts: dict[str, str]) -> str:
    """HTML with other text in the place of some, each of which is there once. Errors: UnknownForm."""
    for old, new in parts.items():
        if page.count(old) != 1:
            raise UnknownForm(f"index.html does not have {old!r} once.")
        page = page.replace(old, new)
    return page


def _hash(content: str) -> str:
    """The source expression of a content security policy for an element with this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _about(names: list[str], half: bool) -> str:
    """What the page says that it is."""
    held, them = (names[0], "it") if len(names) == 1 else (f"{len(names)} models", "them")
    words = f"This page holds {held} and computes with {them} in your browser: it needs no network, and sends nothing."
    if half:
        words += " Weights are rounded to 16 bits here, so the text is another than that of pycharrnn sample."
    return words
