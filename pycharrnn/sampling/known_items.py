"""The items of a training text, with which drawn items are compared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from compat import item_options
from compat.item_options import END_CHARACTERS
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text import items
from pycharrnn.text.item_file import items_of_file, labelled_items_of_file
from pycharrnn.text.text_stats import text_stats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.options import SampleOptions

MAX_UNASKED = 64 << 20  # bytes of a text that is read only to count known items
_PIECE = 1 << 20


class RecordedText(NamedTuple):
    """The text that a model of items was trained on, as its checkpoint records it.

    Attributes:
        checkpoint: its path, for messages.
        folder: of input.txt; "" if it is not recorded. fingerprint: likewise.
        end: the character that ends an item.
    """

    checkpoint: str
    folder: str
    fingerprint: str
    end: bytes

    @property
    def path(self) -> str:
        """The path of the text."""
        return os.path.join(self.folder, "input.txt")

    def items(self) -> Iterator[bytes]:
        """All items, those for validation too, with repetitions, while the text is read.

        Errors: UserError if the text is missing, or has changed since; OSError.
        """
        if not self.folder:
            raise UserError(f"{self.checkpoint} does not say what it was trained on: give {flag('text')} FILE.")
        if not os.path.isfile(self.path):
            raise UserError(
                f"{self.path}, on which {self.checkpoint} was trained, is not here: go to the folder of the training,"
                f" or give {flag('text')} FILE."
            )
        fingerprint = text_stats(self.folder, -1).fingerprint
        if self.fingerprint and self.fingerprint != fingerprint:
            raise UserError(
                f"{self.path} is not the text of {self.checkpoint}: it was {self.fingerprint}; it is {fingerprint}."
                f" Give {flag('text')} FILE."
            )
        with open(self.path, "rb") as f:
            yield from items.of_input(iter(lambda: f.read(_PIECE), b""), self.end)

    def is_small(self) -> bool:
        """Whether the text is here and may be read unasked."""
        try:
            return bool(self.folder) and os.path.getsize(self.path) <= MAX_UNASKED
        except (OSError, ValueError):  # ValueError: a NUL character in a path
            return False


def recorded_text(path: str, loaded: Checkpoint) -> RecordedText:
    """The training text of the model of items at `path`."""
    folder = loaded.opt.get("data_dir")
    fingerprint = loaded.state.text if loaded.state and loaded.state.text else ""
    end = END_CHARACTERS[item_options.kind(loaded.vocab, loaded.opt)]
    return RecordedText(path, folder if isinstance(folder, str) else "", fingerprint, end)


def for_options(path: str, loaded: Checkpoint, opt: SampleOptions) -> frozenset[bytes] | None:
    """The items to compare with: those of -text, or for -new of the recorded text; else of a small recorded text.

    In memory, an item takes about 60 bytes beside its characters. Errors: OSError; UserError.
    """
    text = recorded_text(path, loaded)
    if opt.text:
        kind, labels = item_options.kind(loaded.vocab, loaded.opt), item_options.labels(loaded.vocab, loaded.opt)
        if labels:
            return frozenset(labelled_items_of_file(opt.text, kind, text.end, str(loaded.opt.get("label")), labels))
        return frozenset(items_of_file(opt.text, kind, text.end))
    if opt.new:
        return frozenset(text.items())
    try:
        return frozenset(text.items()) if text.is_small() else None
    except (OSError, ValueError, UserError):
        return None
