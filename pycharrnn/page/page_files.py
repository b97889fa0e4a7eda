"""The page's own files: those of `pycharrnn serve` in the folder `files`, what the studio adds in `studio`."""

from __future__ import annotations

from pathlib import Path

from pycharrnn.page import html_style
from pycharrnn.page.bundle import UnsupportedModule

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_HERE = Path(__file__).parent


def page_files(studio: bool = False) -> dict[str, bytes]:
    """Name -> content of each file of the page, sorted by name; its style sheet begins with the shared rules.

    `studio`: with the sections that `pycharrnn studio` adds.
    """
    files = _read("files")
    files["style.css"] = html_style.style_sheet().encode() + files.pop("panel.css") + files["style.css"]
    return _with_studio(files, _read("studio")) if studio else files


def file_text(name: str) -> str:
    """One of the page's own files, as it is in the folder."""
    return (_HERE / "files" / name).read_text(encoding="utf-8")


def replace_parts(page: str, parts: dict[str, str]) -> str:
    """Replace parts of index.html that must occur once. Errors: UnsupportedModule."""
    for old, new in parts.items():
        if page.count(old) != 1:
            raise UnsupportedModule(f"index.html must contain {old!r} once.")
        page = page.replace(old, new)
    return page


def _with_studio(files: dict[str, bytes], added: dict[str, bytes]) -> dict[str, bytes]:
    """The page's files with those of the studio, whose HTML and rules become parts of the page's own."""
    navigation, _, sections = added.pop("studio.html").decode().partition("<!-- sections -->\n")
    page = replace_parts(
        files["index.html"].decode(),
        {
            "<title>pycharrnn</title>": "<title>pycharrnn studio</title>",
            '<h1 id="title">pycharrnn</h1>': '<h1 id="title" data-fixed>pycharrnn studio</h1>',
            'src="server.js"': 'src="studio.js"',
            '<main id="main"': f'{navigation}\n<main id="main"',
            "</body>": f"{sections}</body>",
        },
    )
    changed = {"index.html": page.encode(), "style.css": files["style.css"] + added.pop("studio.css")}
    return dict(sorted({**files, **added, **changed}.items()))


def _read(folder: str) -> dict[str, bytes]:
    paths = sorted((_HERE / folder).iterdir())
    return {path.name: path.read_bytes() for path in paths if path.suffix in MEDIA_TYPES}
