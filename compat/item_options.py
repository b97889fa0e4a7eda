"""The options of a model of items: `items`, which names the end of an item, and the labels of its training.

Before such a model reads an end character, its hidden states become zero, in training and in sampling. So an end
character, which is predicted like any other, is also the first input of the item after it.

In a model with labels each item begins with its label and a tab. These are read, but not predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.checkpoint_fields import Option

_RECORD_SEPARATOR = b"\x1e"
TAB = b"\t"  # ends the label of an item
MAX_LABELS = 1000
MAX_LABEL = 100  # bytes
_LABELS = "labels"  # the option that records them: a line each, the number of items, a tab, the label
# What an item is -> the character that ends it. "blank": the lines between blank lines.
END_CHARACTERS = {"line": b"\n", "blank": _RECORD_SEPARATOR, "file": _RECORD_SEPARATOR}
# What an item is -> the lines between two items that are printed. An item of "file" may contain blank lines; "%" is the
# border of fortune's files.
BETWEEN = {"line": b"", "blank": b"\n", "file": b"%\n"}


def end_id(vocab: Mapping[bytes, int], opt: Mapping[str, Option]) -> int | None:
    """The token id, from 0, of the end character of a model with these options; None for a model of a text.

    Other programs may record an `items` of another meaning, so an unknown value is that of a text, and so is an end
    character that the vocabulary lacks.

    Example:
        >>> end_id({b"\\n": 1, b"a": 2}, {"items": "line"})
        0
    """
    end = END_CHARACTERS.get(kind(vocab, opt))
    return None if end is None else vocab[end] - 1


def kind(vocab: Mapping[bytes, int], opt: Mapping[str, Option]) -> str:
    """What an item is, a key of END_CHARACTERS; "" for a model of a text, as for `end_id`."""
    recorded = opt.get("items")
    known = isinstance(recorded, str) and END_CHARACTERS.get(recorded) in vocab
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
