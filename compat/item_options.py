"""The options of a model of items: `items`, which names the end of an item, and the labels of its training.

Before such a model reads an end character, its hidden states become zero, in training and in sampling. So an end
character, which is predicted like any other, is also the first input of the item after it.

In a model with labels each item begins with its label and a tab. These are read, but not predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from compat.checkpoint_fields import Option

_RECORD_SEPARATOR = b"\x1e"
TAB = b"\t"  # ends the label of an item
MAX_LABELS = 1000
MAX_LABEL = 100  # bytes
_LABELS = "labels"  # the option that records them: a line each, the number of items, a tab, the label


class ItemKind(NamedTuple):
    """What an item is.

    Attributes:
        in_words: of one item, for messages.
        end: the character that ends it in input.txt, and for the model.
        between: the lines between two items that are printed.
        is_one_line: whether an item has no newline.
        ends_in_source: whether source files have the end after each item, so that they are an input.txt as they are.
    """

    in_words: str
    end: bytes
    between: bytes
    is_one_line: bool
    ends_in_source: bool


ITEM_KINDS = {  # by the value of -items
    "line": ItemKind("a line that is not empty", b"\n", b"", is_one_line=True, ends_in_source=True),
    "blank": ItemKind(
        "the lines between two blank lines", _RECORD_SEPARATOR, b"\n", is_one_line=False, ends_in_source=False
    ),
    # An item may contain blank lines; "%" is the border of fortune's files.
    "file": ItemKind("a file", _RECORD_SEPARATOR, b"%\n", is_one_line=False, ends_in_source=False),
}


def is_one_line(items: str) -> bool:
    """Whether the items of a model with this value of -items have no newline; False for "", a model of a text."""
    return items in ITEM_KINDS and ITEM_KINDS[items].is_one_line


def end_id(vocab: Mapping[bytes, int], opt: Mapping[str, Option]) -> int | None:
    """The token id, from 0, of the end character of a model with these options; None for a model of a text.

    Other programs may record an `items` of another meaning, so an unknown value is that of a text, and so is an end
    character that the vocabulary lacks.

    Example:
        >>> end_id({b"\\n": 1, b"a": 2}, {"items": "line"})
        0
    """
    items = kind(vocab, opt)
    return vocab[ITEM_KINDS[items].end] - 1 if items else None


def kind(vocab: Mapping[bytes, int], opt: Mapping[str, Option]) -> str:
    """What an item is, a key of ITEM_KINDS; "" for a model of a text, as for `end_id`."""
    recorded = opt.get("items")
    known = isinstance(recorded, str) and recorded in ITEM_KINDS and ITEM_KINDS[recorded].end in vocab
    return str(recorded) if known else ""


def labels(vocab: Mapping[bytes, int], opt: Mapping[str, Option]) -> dict[bytes, int]:
    """Label -> the number of items that had it in training, in the order of the labels; {} for a model without labels.

    A record that training would not write is that of no labels.

    Example:
        >>> labels({b"\\n": 1, b"\\t": 2}, {"items": "line", "labels": "7\\tFrench\\n3\\tGreek"})
        {b'French': 7, b'Greek': 3}
    """
    recorded = opt.get(_LABELS)
    if not isinstance(recorded, str) or not kind(vocab, opt) or TAB not in vocab:
        return {}
    lines = recorded.encode("utf-8", "surrogateescape").split(b"\n", MAX_LABELS)
    found = [line.partition(TAB) for line in lines]
    if len(lines) > MAX_LABELS or not all(_is_count(count) and _is_label(label) for count, _, label in found):
        return {}
    counts = {label: int(count) for count, _, label in sorted(found, key=lambda parts: parts[2])}
    return counts if len(counts) == len(found) else {}


def record_labels(counts: Mapping[bytes, int]) -> dict[str, Option]:
    """The options of a model that record its labels, for `labels` to read; {} without labels."""
    lines = [b"%d\t%s" % (count, label) for label, count in sorted(counts.items())]
    return {_LABELS: b"\n".join(lines).decode("utf-8", "surrogateescape")} if lines else {}


def _is_count(digits: bytes) -> bool:
    return digits.isdigit() and len(digits) <= 15 and int(digits) > 0


def _is_label(label: bytes) -> bool:
    return 0 < len(label) <= MAX_LABEL and TAB not in label
