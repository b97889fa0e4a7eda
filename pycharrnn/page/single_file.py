"""Writes the page as one HTML file that holds its models, loads nothing, and needs no server.

Content of checkpoints stays data: JSON in which every < is escaped, or escaped HTML. A content security policy allows
the page's own scripts, by their hashes, and no connections.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from compat.atomic_write import atomic_write
from pycharrnn.checkpoints import payload
from pycharrnn.checkpoints.names import distinct_names
from pycharrnn.common.display import escape_html, series
from pycharrnn.common.errors import UserError, flag
from pycharrnn.page import heading, known_table
from pycharrnn.page.bundle import bundle
from pycharrnn.page.facts import facts_of, losses_of
from pycharrnn.page.page_files import page_files, replace_parts
from pycharrnn.sampling.known_items import recorded_items

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint

_MAX_MODEL = 500_000_000  # characters of weights: browsers limit the length of a string

Model = dict[str, Any]  # JSON; `write` adds its name


def model_of(path: str, loaded: Checkpoint, half: bool) -> Model:
    """Encode a checkpoint, with a table of the known items if its training text is here.

    `half`: round its weights to 16 bits. Errors: UserError for too large a model.
    """
    # Without the modification time, so that the same checkpoint gives the same page.
    facts = {**dataclasses.asdict(facts_of(loaded, "", 0.0)), "saved": None}
    model = {**payload.encode(loaded, half=half), "facts": facts, "losses": dataclasses.asdict(losses_of(loaded))}
    if facts["items"]:
        recorded = recorded_items(path, loaded)
        with contextlib.suppress(OSError, ValueError, UserError):  # the text is missing, or has changed
            if recorded.text.fingerprint:
                model |= known_table.table_of(recorded.read())
    if len(model["weights"]) > _MAX_MODEL:
        hint = "" if half else f": {flag('half', 1)} rounds them to 16 bits"
        raise UserError(f"the weights of {path} are too large for a browser to read from a page{hint}.")
    return model


def has_short_weights(model: Model) -> bool:
    """Whether the page holds the weights of a model in 16 bits."""
    return bool(model["dtype"] == "float16")


def write(
    path: str | os.PathLike[str], models: Sequence[tuple[str, Model]], half: bool, title: str = "", about: str = ""
) -> int:
    """Write a page atomically and return its size in bytes.

    Args:
        models: (path of the checkpoint, its encoding by model_of), in the order of the page's list.
        half: as for model_of.
        title: heading of the page; "" = the name of the text that the selected model was trained on.
        about: plain text below the heading.

    Errors: OSError.
    """
    names = distinct_names([checkpoint for checkpoint, _ in models])
    rounded = [name for name, (_, model) in zip(names, models, strict=True) if has_short_weights(model)]
    text_name = models[0][1]["facts"]["text"] or names[0]
    before, after = _frame(heading.replacements(title, about, text_name), _footer(names, half, rounded))
    with atomic_write(path) as f:
        size = f.write(before.encode())
        for name, (_, model) in zip(names, models, strict=True):
            named = {**model, "name": name, "facts": {**model["facts"], "id": name}}
            size += f.write(b"".join([payload.ELEMENT, _json(named), payload.ELEMENT_END, b"\n"]))
        return size + f.write(after.encode())


def _json(value: object) -> bytes:
    """ASCII JSON that can't end its HTML element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").encode()


def _frame(headed: dict[str, str], footer: str) -> tuple[str, str]:
    """The parts of the page before and after its models. `headed`: as heading.replacements returns it."""
    files = {name: content.decode() for name, content in page_files().items()}
    script, worker, style = bundle("file.js", files), bundle("worker.js", files), files["style.css"]
    check = files["old_browser.js"]
    policy = (
        f"default-src 'none'; script-src {_hash(script)} {_hash(check)}; style-src {_hash(style)}; img-src data:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    icon = base64.b64encode(files["icon.svg"].encode()).decode()
    page = replace_parts(
        files["index.html"],
        {
            **headed,
            '<meta charset="utf-8">': '<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            'href="icon.svg" type="image/svg+xml"': f'href="data:image/svg+xml;base64,{icon}"',
            '<link rel="stylesheet" href="style.css">': f"<style>{style}</style>",
            '<script type="module" src="server.js"></script>\n': "",
            '<script src="old_browser.js"></script>': f"<script>{check}</script>",
            "</main>\n</body>": f'</main>\n<footer class="quiet">{escape_html(footer)}</footer>\n</body>',
        },
    )
    before, end, after = page.partition("</body>")
    # The worker is inert text: the page's script makes a Worker from it.
    scripts = f'<script type="text/plain" id="worker">{worker}</script>\n<script type="module">{script}</script>\n'
    return before, scripts + end + after


def _hash(content: str) -> str:
    """The content security policy's source expression for an element with this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _footer(names: list[str], half: bool, rounded: list[str]) -> str:
    """`rounded`: the models with weights of 16 bits, which may have been so before the page was made."""
    held, them = (names[0], "it") if len(names) == 1 else (f"{len(names)} models", "them")
    words = f"This page holds {held} and runs {them} in your browser. It needs no network and sends nothing."
    if half:
        words += " Its weights are rounded to 16 bits, so its texts differ from those of pycharrnn sample."
    elif rounded:
        whose = "Its weights" if rounded == names else f"The weights of {series(rounded, 'and')}"
        words += f" {whose} were rounded to 16 bits before, so the texts differ from those of the trained model."
    return words
