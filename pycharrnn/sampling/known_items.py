"""The items of a training text, with which drawn items are compared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compat import item_options
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text import items
from pycharrnn.text.item_file import items_of_file
from pycharrnn.text.text_stats import text_stats

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.options import SampleOptions

MAX_UNASKED = 64 << 20  # bytes of a text that is read only to count known items
_PIECE = 1 << 20


def for_options(path: str, loaded: Checkpoint, end: bytes, opt: SampleOptions) -> frozenset[bytes] | None:
    """The items to compare with: those of -text, or for -new of the recorded text; else of a small recorded text.

    Errors: OSError; UserError.
    """
    if opt.text:
        return frozenset(items_of_file(opt.text, item_options.kind(loaded.vocab, loaded.opt), end))
    return recorded(path, loaded, end) if opt.new else recorded_if_small(path, loaded, end)


def recorded(path: str, loaded: Checkpoint, end: bytes) -> frozenset[bytes]:
    """The items of the text that the checkpoint at `path` was trained on, those for validation too.

    In memory, an item takes about 60 bytes beside its characters. Errors: UserError if the text is missing, or has
    changed since; OSError.
    """
    folder = loaded.opt.get("data_dir")
    if not isinstance(folder, str) or not folder:
        raise UserError(f"{path} does not say what it was trained on: give {flag('text')} FILE.")
    text = os.path.join(folder, "input.txt")
    if not os.path.isfile(text):
        raise UserError(
            f"{text}, on which {path} was trained, is not here: go to the folder of the training, or give"
            f" {flag('text')} FILE."
        )
    fingerprint = text_stats(folder, -1).fingerprint
    if loaded.state and loaded.state.text and loaded.state.text != fingerprint:
        raise UserError(
            f"{text} is not the text of {path}: it was {loaded.state.text}; it is {fingerprint}. Give {flag('text')}"
            " FILE."
        )
    with open(text, "rb") as f:
        return frozenset(items.of_input(iter(lambda: f.read(_PIECE), b""), end))


def recorded_if_small(path: str, loaded: Checkpoint, end: bytes) -> frozenset[bytes] | None:
    """As `recorded`; None if that is not possible, or takes long."""
    try:
        if os.path.getsize(os.path.join(str(loaded.opt.get("data_dir")), "input.txt")) > MAX_UNASKED:
            return None
        return recorded(path, loaded, end)
    except (OSError, ValueError, UserError):
        return None
