"""The labels of items (-label): the name of the file or the folder of an item, or the text before its first tab.

In input.txt a labelled item begins with its label and a tab, wherever the label is from. The tab ends the label; the
item may have others.
"""

from __future__ import annotations

import io
import itertools
import os
import unicodedata
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from compat.item_options import MAX_LABEL, MAX_LABELS, TAB
from pycharrnn.common.display import escape_line, join_words
from pycharrnn.common.errors import UserError, flag

if TYPE_CHECKING:
    from pycharrnn.text.source_files import SourceFile

FROM_PATH = {"file": -1, "folder": -2}  # value of -label -> the part of a file's path that is its items' label
_SHOWN = 40  # bytes of an item in a message
_MAX_NAMED = 12  # labels in a message


def prefix(file: SourceFile, label: str) -> bytes:
    """What stands before each item of a file in input.txt; b"" for -label column, with which the file has it.

    `label`: the value of -label. Errors: UserError for a label that is too long.

    Example:
        >>> prefix(SourceFile("names/French.txt", ...), "file"), prefix(SourceFile("names/French.txt", ...), "folder")
        (b'French\\t', b'names\\t')
    """
    if label not in FROM_PATH:
        return b""
    if label == "folder":
        name = os.path.basename(os.path.dirname(os.path.abspath(file.name)))
    else:
        name = os.path.splitext(os.path.basename(file.name))[0]
    name = unicodedata.normalize("NFC", name)  # as keyboards type it
    shown = escape_line(name, None)
    if not 0 < len(shown.encode()) <= MAX_LABEL:
        raise UserError(
            f"{file.shown}: {f'its label, {escape_line(name, 20)},' if name else 'it has no label, which'} must have 1"
            f" to {MAX_LABEL} bytes: rename its {label}."
        )
    return shown.encode() + TAB


def spelling_of(label: bytes, known: Collection[bytes]) -> bytes:
    """The known label that has the same Unicode normalization form C; b"" if there is none, or more than one.

    An accented letter may be one code point, as a keyboard types it, or several, as in file names of macOS.
    """
    if label in known:
        return label
    alike = [one for one in known if _composed(one) == _composed(label)]
    return alike[0] if len(alike) == 1 else b""


def _composed(label: bytes) -> str:
    return unicodedata.normalize("NFC", os.fsdecode(label))


def split(item: bytes, label: str, file: str = "") -> tuple[bytes, bytes]:
    """The label of an item of input.txt, and the item itself. Errors: UserError for one without a valid label.

    `label`: the value of -label. `file`: that of the item, for the message; "" for none.

    Example:
        >>> split(b"French\\tAda", "file")
        (b'French', b'Ada')
    """
    found, tab, rest = item.partition(TAB)
    if tab and 0 < len(found) <= MAX_LABEL and b"\n" not in found:
        return found, rest
    if not tab or not found:
        why = "no label before its first tab" if tab else "no tab"
    else:
        why = f"{f'more than {MAX_LABEL} bytes' if len(found) > MAX_LABEL else 'a line break'} before its first tab"
    is_table = label == "column" and not tab and (b"," in item or b";" in item)
    table = "; if this is a table, save it with tabs between its columns" if is_table else ""
    raise UserError(
        f"{f'{file}: ' * bool(file)}the item that begins with '{beginning_of(item)}' has {why}: with"
        f" {flag('label', label)} each begins with its label and a tab{table}."
    )


def beginning_of(item: bytes) -> str:
    """The first characters of an item, for a message."""
    return escape_line(item[:_SHOWN].decode("utf-8", "replace"))


def split_known(item: bytes, known: Collection[bytes]) -> tuple[bytes, bytes]:
    """The label among `known` with which an item begins, before a tab, and the rest; b"" and the item without one."""
    label, tab, rest = item.partition(TAB)
    return (label, rest) if tab and label in known else (b"", item)


def cut(text: bytes, known: Collection[bytes]) -> list[bytes]:
    """Split a text at the labels that begin its lines: text and labels alternate, and a label includes its tab.

    `known`: the labels to look for.

    Example:
        >>> cut(b"French\\tAda\\nGreek\\tIo\\n", [b"French", b"Greek"])
        [b'', b'French\\t', b'Ada\\n', b'Greek\\t', b'Io\\n']
    """
    places, start = [0], 0
    for line in io.BytesIO(text) if known else ():
        label, _ = split_known(line, known)
        places += [start, start + len(label + TAB)] if label else []
        start += len(line)
    return [text[begin:end] for begin, end in itertools.pairwise([*places, len(text)])]


def too_many() -> UserError:
    """The error for more than MAX_LABELS labels."""
    return UserError(
        f"the items have more than {MAX_LABELS:,} labels, the most that a model may have: choose another"
        f" {flag('label')}, or join some."
    )


def not_of_model(file: SourceFile, label: bytes, known: Collection[bytes], *, by_name: bool) -> UserError:
    """The error for an item whose label, b"" for none, is not among those of a model.

    `by_name`: whether the label is the name of the file or its folder.
    """
    ours, way_out = in_words(sorted(known)), "put one of them and a tab before the item"
    if by_name and file.given != "-":
        return UserError(
            f"an item of {file.shown} has no label, and the model has no label named after its file or folder,"
            f" {escape_line(label, 40)}; its labels are {ours}: {way_out}, or change that name."
        )
    has = f"the label {escape_line(label, 40)}" if label and not by_name else "no label of the model"
    return UserError(f"an item of {file.shown} has {has}, and the model's labels are {ours}: {way_out}.")


def in_words(labels: Mapping[bytes, int] | list[bytes]) -> str:
    """At most twelve labels for a message, with their counts if there are any, and the number of the others.

    Example:
        >>> in_words({b"French": 277, b"Greek": 203})
        'French 277, Greek 203'
    """
    counts = [f" {count}" for count in labels.values()] if isinstance(labels, Mapping) else [""] * len(labels)
    words = [escape_line(label, 40) + count for label, count in zip(labels, counts, strict=True)]
    return join_words(words, _MAX_NAMED)
