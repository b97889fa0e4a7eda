"""The recorded options that decide which characters of a text are in each split.

Losses are of the same characters only where all of these agree, and the text. Source for texts:
util/CharSplitLMMinibatchLoader.lua.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint

_FRACTIONS = ("train_frac", "val_frac")
OF_TEXTS = ("batch_size", "seq_length", *_FRACTIONS)  # the text is cut into rows
OF_ITEMS = ("items", "label", "seed", *_FRACTIONS)  # the seed draws the items of a split
OPTIONS = tuple(dict.fromkeys((*OF_ITEMS, *OF_TEXTS)))


def names(loaded: Checkpoint) -> tuple[str, ...]:
    """The options that decide the splits of a checkpoint's text."""
    return OF_ITEMS if loaded.items else OF_TEXTS
