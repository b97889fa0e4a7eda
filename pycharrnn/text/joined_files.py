"""Joins the files of a text, as bytes of UTF-8 or as they are, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from compat.item_options import ITEM_KINDS
from pycharrnn.common.display import join_words
from pycharrnn.common.printing import PrintLine
from pycharrnn.text import decode_text, labels
from pycharrnn.text.items import ItemSplitter, ListCheck, as_input
from pycharrnn.text.source_files import SourceFile

_BLOCK = 1 << 20  # bytes of short items


@dataclass(frozen=True)
class JoinedFiles:
    """A text of one or several files.

    Attributes:
        files: in the order of the text.
        items, label: the values of the options -items and -label; "" without.
        replaced: of the files that `pieces` has read, the line ends that became LF, as in decode_text.
    """

    files: Sequence[SourceFile]
    items: str = ""
    label: str = ""
    replaced: dict[SourceFile, set[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def shown(self) -> str:
        """Their names in messages."""
        return join_words([file.shown for file in self.files])

    def pieces(self, advance: Callable[[int], None] = lambda done: None) -> Iterator[bytes]:
        """The text: each file begins on a new line, or is divided into items.

        `advance` receives the number of bytes read. Errors: OSError; UserError.
        """
        return self._pieces(advance, checks_labels=False)

    def _pieces(self, advance: Callable[[int], None], checks_labels: bool) -> Iterator[bytes]:
        """`checks_labels`: whether an item without its label is an error here, which names its file."""
        if (not self.items or ITEM_KINDS[self.items].ends_in_source) and not self.label:
            end = ITEM_KINDS[self.items].end if self.items else b"\n"
            last = end
            for file in self.files:
                if last != end:
                    yield end
                for piece in self._decoded(file, advance):
                    yield piece
                    last = piece[-1:] or last
            return
        block = bytearray()
        for file in self.files:
            prefix = labels.prefix(file, self.label)
            for item in as_input(self._decoded(file, advance), self.items, file.shown):
                if checks_labels and len(item) > 1:
                    labels.split(item[:-1], self.label, file.shown)
                block += prefix
                block += item
                if len(block) >= _BLOCK:
                    yield bytes(block)
                    block.clear()
        yield bytes(block)

    def checked_pieces(self, advance: Callable[[int], None], note: PrintLine) -> Iterator[bytes]:
        """As `pieces`; `note` prints advice on a list. Errors: also UserError for one that can't be learnt from."""
        if not self.items:
            yield from self.pieces(advance)
            return
        check, splitter = ListCheck(self.items, self.shown, self.label), ItemSplitter(ITEM_KINDS[self.items].end)
        for piece in self._pieces(advance, checks_labels=self.label == "column"):
            check.add(splitter.push(piece))
            yield piece
        check.add([splitter.rest()])
        check.finish()
        if advice := check.advice():
            note(advice)

    def _decoded(self, file: SourceFile, advance: Callable[[int], None]) -> Iterator[bytes]:
        return decoded(file, advance, self.replaced.setdefault(file, set()))


def decoded(
    file: SourceFile, advance: Callable[[int], None] = lambda done: None, replaced: set[str] | None = None
) -> Iterator[bytes]:
    """The text of a file. `advance`, `replaced`: as for decode_text.pieces. Errors: OSError; UserError."""
    return decode_text.pieces(file.path, file.decoding, file.shown, advance, replaced)
