"""The items of a list (-items): a line, the lines between blank lines, or a file; and how input.txt holds them.

The items of -items line are the lines of input.txt. Those of -items blank and -items file end with U+001E there. Items
without a character are dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from compat.item_options import ITEM_KINDS, MAX_LABELS
from pycharrnn.common.errors import UserError, flag, on_page
from pycharrnn.text import labels

MAX_ITEM = 1_000_000  # bytes; while a row of a batch reads such an item, the others read thousands of short ones
MAX_READ_ITEM = 100_000_000  # bytes of an item that is not trained on; it is held in memory
_BLANKS = b" \t\r"
_BREAKS = b"\r\n"


class ItemSplitter:
    """Splits a text that arrives in pieces at the end characters of its items.

    `longest`: the most bytes of an item.

    Example:
        >>> splitter = ItemSplitter(b"\\n")
        >>> splitter.push(b"Ada\\n\\nBo"), splitter.push(b"b\\nC"), splitter.rest()
        ([b'Ada', b''], [b'Bob'], b'C')
    """

    def __init__(self, end: bytes, longest: int = MAX_ITEM) -> None:
        self._end, self._longest, self._held, self._size = end, longest, [b""], 0

    def push(self, piece: bytes) -> list[bytes]:
        """The items, empty ones included, that end in this piece. Errors: UserError for one that is too long."""
        first, *others = piece.split(self._end)
        self._held.append(first)
        self._size += len(first)
        if self._size > self._longest:
            raise too_long(self.rest(), self._longest)
        if not others:
            return []
        longest = max(others, key=len)
        if len(longest) > self._longest:
            raise too_long(longest, self._longest)
        items = [b"".join(self._held), *others[:-1]]
        self._held, self._size = [others[-1]], len(others[-1])
        return items

    def rest(self) -> bytes:
        """What follows the last end character."""
        return b"".join(self._held)


class ListCheck:
    """Checks that a list, whose items arrive one after the other, can be learnt from.

    `shown`: its name in messages. `label`: the value of -label; the items begin with their labels, as in input.txt.
    `is_cut`: whether -vocab keep has left characters out of the items.

    Attributes:
        labels: label -> its number, in the order in which they came.
    """

    def __init__(self, kind: str, shown: str, label: str = "", is_cut: bool = False) -> None:
        self._kind, self._shown, self._label, self._is_cut = kind, shown, label, is_cut
        self.labels: dict[bytes, int] = {}
        self._first, self._count, self._is_varied = b"", 0, False
        self._with_blanks = 0  # items that end with a space or a tab

    def add(self, items: Iterable[bytes]) -> None:
        """Errors: UserError for an item of more than MAX_ITEM bytes, or without its label; for too many labels."""
        found = list(filter(None, self._without_labels(items) if self._label else items))
        if not found:
            return
        self._first = self._first or found[0]
        self._count += len(found)
        self._with_blanks += sum(item.endswith((b" ", b"\t")) for item in found)
        self._is_varied = self._is_varied or any(item != self._first for item in found)
        longest = max(found, key=len)
        if len(longest) > MAX_ITEM:
            raise too_long(longest)

    def finish(self) -> None:
        """Errors: UserError for a list without items, with one item, or with equal ones."""
        if self._is_cut and not self._is_varied:
            left = "no item" if not self._count else "only one item" if self._count == 1 else "only equal items"
            raise UserError(
                f"{flag('vocab', 'keep')} leaves {left} of {self._shown}, since the model knows"
                f" {'few' if self._count else 'none'} of the characters",
                f"{flag('vocab', 'extend')} adds them to the model",
                ["vocab"],
            )
        after = ", after a label and a tab" if self._label else ""
        kind = f"{flag('items', self._kind)}, for which an item is {ITEM_KINDS[self._kind].in_words}{after}"
        if self._count < 2:
            there_is = "there is only one item" if self._count else "there are no items"
            advice = f"add some, or choose another {flag('items')}"
            raise UserError(f"{there_is} of {kind}, in {self._shown}", advice, ["items"])
        if not self._is_varied:
            raise UserError(
                f"all {self._count:,} items of {self._shown} are equal, so there is nothing to learn: add others."
            )
        if len(self.labels) == 1:
            remove = "remove the label and the tab before each item, and " if self._label == "column" else ""
            raise UserError(
                f"all items of {self._shown} have the label {labels.in_words([*self.labels])}",
                f"add items with other labels, or {remove}leave {flag('label', self._label)} out",
                ["label"],
            )

    def advice(self) -> str:
        """A sentence for a list with spaces or tabs at the ends of items; "" for another one."""
        if not self._with_blanks:
            return ""
        return (
            f"{self._with_blanks:,} of {self._count:,} items of {self._shown} end with a space or a tab, which is"
            " learned as a part of them: 'Ada' and 'Ada ' are two items. Remove such blanks if they mean nothing."
        )

    def _without_labels(self, items: Iterable[bytes]) -> Iterator[bytes]:
        for item in filter(None, items):
            label, rest = labels.split(item, self._label)
            if rest and label not in self.labels:
                if len(self.labels) == MAX_LABELS:
                    raise labels.too_many()
                self.labels[label] = len(self.labels)
            yield rest


def too_long(item: bytes, longest: int = MAX_ITEM) -> UserError:
    """The error for an item of more than `longest` bytes."""
    without = on_page(f"with {flag('items', '')}", elsewhere=f"without {flag('items')}")
    or_else = f", or train {without}" if longest == MAX_ITEM else ""
    return UserError(
        f"the item that begins with '{labels.beginning_of(item)}' has more than {longest:,} bytes, the most that an"
        " item may have",
        f"divide it{or_else}",
        ["items"] if or_else else [],
    )


def of_input(pieces: Iterable[bytes], end: bytes, longest: int) -> Iterator[bytes]:
    """The items of an input.txt, read in pieces. Errors: UserError for one of more than `longest` bytes."""
    return filter(None, _split(pieces, end, longest))


def of_text(text: bytes, kind: str, known: Collection[bytes] = ()) -> Iterator[bytes]:
    """The items of a text in memory: as a training on it would take them, or between the ends that it has.

    `known`: the labels that items may begin with; a label alone is no item.

    Example:
        >>> list(of_text(b"Ada\\n\\nBob", "line")), list(of_text(b"A\\nB\\n\\nC", "blank"))
        ([b'Ada', b'Bob'], [b'A\\nB', b'C'])
    """
    end = ITEM_KINDS[kind].end
    if ITEM_KINDS[kind].ends_in_source or end in text:
        found = of_input([text], end, MAX_READ_ITEM)
    else:
        found = (item.removesuffix(end) for item in as_input([text], kind, "the text", MAX_READ_ITEM))
    return (item for item in found if labels.split_known(item, known)[1])


def between_ends(items: Iterable[bytes], end: bytes) -> bytes:
    """The text that a model of items reads: before each end, its hidden state becomes zeros."""
    return end + b"".join(item + end for item in items)


def as_input(pieces: Iterable[bytes], kind: str, shown: str, longest: int = MAX_ITEM) -> Iterator[bytes]:
    """The items of a source file, each with its end, as input.txt holds them.

    `longest`: the most bytes of an item. Errors: UserError for a longer one; for -items blank and file also for a file
    that contains U+001E.
    """
    end = ITEM_KINDS[kind].end
    if ITEM_KINDS[kind].ends_in_source:
        yield from (item + end for item in of_input(pieces, end, longest))
        return
    checked = _without_end(pieces, end, kind, shown)
    for item in _WITHOUT_ENDS[kind](checked, longest):
        if item:
            yield item + end


def _without_end(pieces: Iterable[bytes], end: bytes, kind: str, shown: str) -> Iterator[bytes]:
    for piece in pieces:
        if end in piece:
            raise UserError(
                f"{shown} contains U+001E, the record separator, which ends the items of {flag('items', kind)}: remove"
                f" it, or, if {flag('items')} made this text, name its folder by {flag('data_dir')}."
            )
        yield piece


def _whole(pieces: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """A file without the line breaks around it. Errors: UserError if that has more than `longest` bytes."""
    found, breaks = bytearray(), bytearray()  # `breaks` belong to the item if something follows
    for piece in pieces:
        text = piece.rstrip(_BREAKS)
        if text:
            found += breaks + text if found else text.lstrip(_BREAKS)
            breaks.clear()
            if len(found) > longest:
                raise too_long(bytes(found), longest)
        if len(breaks) <= longest:  # with more of them, whatever follows makes the item too long
            breaks += piece[len(text) :]
    yield bytes(found)


def _between_blank_lines(pieces: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """Lines without a blank one between them; a blank line has spaces and tabs at most."""
    lines: list[bytes] = []
    size = -1  # of the lines and the line breaks between them
    for line in _split(pieces, b"\n", longest):
        if line.strip(_BLANKS):
            lines.append(line)
            size += len(line) + 1
            if size > longest:
                raise too_long(b"\n".join(lines), longest)
        elif lines:
            yield b"\n".join(lines)
            lines, size = [], -1
    yield b"\n".join(lines)


# -items -> the items of a source file that has no ends of items
_WITHOUT_ENDS = {"blank": _between_blank_lines, "file": _whole}


def _split(pieces: Iterable[bytes], end: bytes, longest: int) -> Iterator[bytes]:
    splitter = ItemSplitter(end, longest)
    for piece in pieces:
        yield from splitter.push(piece)
    yield splitter.rest()
