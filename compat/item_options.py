"""The end of an item in a model of items: the option `items` of its training, and the character that it stands for.

Before such a model reads an end character, its hidden states become zero, in training and in sampling. So an end
character, which is predicted like any other, is also the first input of the item after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.checkpoint_fields import Option

_RECORD_SEPARATOR = b"\x1e"
# What an item is -> the character that ends it. "blank": the lines between blank lines.
END_CHARACTERS = {"line": b"\n", "blank": _RECORD_SEPARATOR, "file": _RECORD_SEPARATOR}


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
