"""The items of any file or folder, for a model of items: as a training would take them, but also longer ones."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from compat import item_options
from compat.item_options import ITEM_KINDS, TAB
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.text import decode_text, items, labels, source_files
from pycharrnn.text.file_pieces import file_pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from compat.checkpoint_fields import Option
    from pycharrnn.text.source_files import SourceFile


def items_for_model(
    path: str,
    vocab: Mapping[bytes, int],
    opt: Mapping[str, Option],
    text_encoding: str = "",
    note: PrintLine = print_nothing,
) -> Iterator[bytes]:
    """The items of a file for a model of items: as items_of_file, with labels for a model that has some.

    `vocab`, `opt`: of the model's checkpoint.
    """
    kind, known = item_options.kind(vocab, opt), item_options.labels(vocab, opt)
    if known:
        return labelled_items_of_file(path, kind, str(opt.get("label")), known, text_encoding, note)
    return items_of_file(path, kind, text_encoding, note)


def items_of_file(path: str, kind: str, text_encoding: str = "", note: PrintLine = print_nothing) -> Iterator[bytes]:
    """The items of a file, of the files of a folder, or of standard input (-), without their ends.

    `kind`: the value of -items. A file that contains U+001E is read as an input.txt of blank or file. `text_encoding`:
    of the files, "" to detect it. `note`: prints how they are decoded, and which files of a folder are left out.
    Errors: OSError; UserError.
    """
    end, ends_in_source = ITEM_KINDS[kind].end, ITEM_KINDS[kind].ends_in_source
    if not ends_in_source and _is_input(path, end):  # as it is: it is neither decoded nor refused
        yield from items.of_input(file_pieces(path), end, items.MAX_READ_ITEM)
        return
    with contextlib.ExitStack() as until_read:
        for file in source_files.find_for_model(path, note, until_read, text_encoding):
            yield from _items_in(file, kind)


def labelled_items_of_file(
    path: str,
    kind: str,
    label: str,
    known: Collection[bytes],
    text_encoding: str = "",
    note: PrintLine = print_nothing,
) -> Iterator[bytes]:
    """As items_of_file, each with a label and a tab before it, for a model with labels.

    `label`: the value of -label. `known`: the model's labels. An item that begins with one of these and a tab has it,
    as in an input.txt; others have that of their file. A label alone is no item. Errors: OSError; UserError for a label
    that is not known.
    """
    with contextlib.ExitStack() as until_read:
        for file in source_files.find_for_model(path, note, until_read, text_encoding):
            before = labels.prefix(file, label)
            of_file = labels.spelling_of(before[:-1], known)
            for item in _items_in(file, kind):
                of_item, tab, rest = item.partition(TAB)
                if tab and not rest and (not before or of_item in known):
                    continue  # a label without an item
                if labels.split_known(item, known)[0]:
                    yield item
                elif of_file:
                    yield of_file + TAB + item
                else:
                    own_label = of_item if tab else b""
                    raise labels.not_of_model(file, before[:-1] or own_label, known, by_name=bool(before))


def _items_in(file: SourceFile, kind: str) -> Iterator[bytes]:
    """The items of a file, which may be an input.txt or a pipe with one. Errors: OSError; UserError."""
    end = ITEM_KINDS[kind].end
    if not ITEM_KINDS[kind].ends_in_source and _is_input(file.path, end):
        yield from items.of_input(file_pieces(file.path), end, items.MAX_READ_ITEM)
    else:
        pieces = decode_text.pieces(file.path, file.decoding, file.shown)
        yield from (item[: -len(end)] for item in items.as_input(pieces, kind, file.shown, items.MAX_READ_ITEM))


def _is_input(path: str, end: bytes) -> bool:
    """Whether a file contains `end` as a character. In UTF-16, which has NUL bytes, its byte may be part of another."""
    if not os.path.isfile(path):
        return False
    return any(end in piece and b"\0" not in piece for piece in file_pieces(path))
