"""The items of a training text, with which drawn items are compared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycharrnn.common.errors import UserError, flag
from pycharrnn.text.text_stats import text_stats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.options import SampleOptions

MAX_UNASKED = 64 << 20  # bytes of a text that is read only to count known items
_PIECE = 1 << 20


def for_options(path: str, loaded: Checkpoint, end: bytes, opt: SampleOptions) -> frozenset[bytes] | None:
    """The items to compare with: of -text, or for -new of the recorded text; else of that if it is here and small.

    Errors: UserError.
    """
    if opt.text:
        return items_of(opt.text, end)
    return recorded(path, loaded, end) if opt.new else recorded_if_small(path, loaded, end)


def recorded(path: str, loaded: Checkpoint, end: bytes) -> frozenset[bytes]:
    """The items of the text that the checkpoint at `path` was trained on, those for validation too.

    Errors: UserError if it is missing, or has changed since.
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
    return items_of(text, end)


def recorded_if_small(path: str, loaded: Checkpoint, end: bytes) -> frozenset[bytes] | None:
    """As `recorded`; None if that is not possible, or takes long."""
    try:
        if os.path.getsize(os.path.join(str(loaded.opt.get("data_dir")), "input.txt")) > MAX_UNASKED:
            return None
        return recorded(path, loaded, end)
    except (OSError, ValueError, UserError):
        return None


def items_of(path: str, end: bytes) -> frozenset[bytes]:
    """The items in a file, each followed by `end`. In memory, an item takes about 60 bytes more. Errors: UserError."""
    try:
        with open(path, "rb") as f:
            return frozenset(filter(None, _split(iter(lambda: f.read(_PIECE), b""), end)))
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e


def _split(pieces: Iterator[bytes], end: bytes) -> Iterator[bytes]:
    rest: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(end)
        rest.append(first)
        if others:
            yield b"".join(rest)
            *whole, last = others
            yield from whole
            rest = [last]
    yield b"".join(rest)
