"""The items of a training text, with which drawn items are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compat.item_options import ITEM_KINDS
from pycharrnn.checkpoints.checkpoint_facts import text_encoding_for
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.text import items
from pycharrnn.text.file_pieces import file_pieces
from pycharrnn.text.item_file import items_for_model
from pycharrnn.text.recorded_text import RecordedText, recorded_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.options import SampleOptions


class RecordedItems(NamedTuple):
    """The items of the text that a model of items was trained on; `end`: the character that ends an item."""

    text: RecordedText
    end: bytes

    def read(self) -> Iterator[bytes]:
        """All items, those for validation too, with repetitions, while the text is read.

        Errors: UserError if the text is missing, or has changed since; OSError.
        """
        yield from items.of_input(file_pieces(self.text.checked_path()), self.end, items.MAX_ITEM)


def recorded_items(path: str, loaded: Checkpoint) -> RecordedItems:
    """The items of the training text of the model of items at `path`."""
    return RecordedItems(recorded_text(path, loaded), ITEM_KINDS[loaded.items].end)


def for_options(
    path: str, loaded: Checkpoint, opt: SampleOptions, note: PrintLine = print_nothing
) -> frozenset[bytes] | None:
    """The items to compare with: those of -text, or for -new of the recorded text; else of a small recorded text.

    In memory, an item takes about 60 bytes beside its characters. `note`: prints how the file of -text is decoded,
    and which files of a folder are left out. Errors: OSError; UserError.
    """
    recorded = recorded_items(path, loaded)
    if opt.text:
        read_as = text_encoding_for(loaded, opt.text_encoding)
        return frozenset(items_for_model(opt.text, loaded.vocab, loaded.opt, read_as, note))
    if opt.new:
        return frozenset(recorded.read())
    try:
        return frozenset(recorded.read()) if recorded.text.may_be_read_unasked() else None
    except (OSError, ValueError, UserError):
        return None
