"""The page's own files, which lie in the folder `files`."""

from __future__ import annotations

from pathlib import Path

from pycharrnn.analysis import html_style

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_FOLDER = Path(__file__).with_name("files")
_OF_STUDIO = "studio"


def page_files(studio: bool = False) -> dict[str, bytes]:
    """Name -> content of each file of the page, sorted by name; its style sheet begins with the shared rules.

    `studio`: with the files of `pycharrnn studio`, whose names begin so.
    """
    paths = (path for path in sorted(_FOLDER.iterdir()) if studio or not path.name.startswith(_OF_STUDIO))
    files = {path.name: path.read_bytes() for path in paths if path.suffix in MEDIA_TYPES}
    return {**files, "style.css": html_style.style_sheet().encode() + files["style.css"]}
