"""Writes a model in the format of the ending of a path, a page too, which the package checkpoints can't make."""

from __future__ import annotations

import os

from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint, formats
from pycharrnn.common import output_folder


def save(path: str | os.PathLike[str], loaded: Checkpoint, source: str, options: formats.WriteOptions) -> None:
    """Write the checkpoint that was read from the file `source`, which names it in a page.

    Errors: OSError; UserError for another ending, a missing folder, or a model that is too large for a page.
    """
    if not formats.HTML.is_of(path):
        checkpoint.convert(loaded, path, options)
        return
    from pycharrnn.page import single_file

    output_folder.require_folder(path)
    model = single_file.model_of(source, loaded, options.half)
    single_file.write(path, [(source, model)], options.half, options.title, options.about)
