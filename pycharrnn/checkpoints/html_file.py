"""Reads checkpoints from .html files, pages that hold models; the package `page` writes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compat.t7_content import file_content
from pycharrnn.checkpoints import formats, payload

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a model from PAGE.html, or PAGE.html#NAME if the page has several. Errors: OSError; CheckpointError."""
    page, name = formats.page_and_model(path)
    return payload.read_page(file_content(page), name)


def names(path: str | os.PathLike[str]) -> list[str]:
    """The names of a page's models, for `load`. Errors: OSError; CheckpointError for a page that ends too early."""
    return payload.names_in_page(file_content(os.fspath(path)))
