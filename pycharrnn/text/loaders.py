"""Opens the batches of a folder's text: of one text, or of the items of a list."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from pycharrnn.common.printing import PrintLine
from pycharrnn.text.batches import Batches
from pycharrnn.text.item_loader import ItemLoader
from pycharrnn.text.loader import CharSplitLMMinibatchLoader
from pycharrnn.text.text_stats import TextStats


def open_batches(
    data_dir: str | os.PathLike[str],
    batch_size: int,
    seq_length: int,
    split_fractions: tuple[float, float, float],
    items: str,
    seed: int,
    label: str = "",
    *,
    say: PrintLine,
    rows: slice = slice(None),
    progress: int = 0,
    encoding: str,
    model_characters: Collection[bytes] | None,
    leave_out_others: bool,
    stats: TextStats | None = None,
    in_order: bool = False,
    advise: bool = True,
) -> Batches:
    """The batches of a text, or with `items`, a value of -items, those of a list. Arguments: as for their classes.

    Errors: UserError.
    """
    where = data_dir, batch_size, seq_length, split_fractions
    text = {"encoding": encoding, "model_characters": model_characters, "leave_out_others": leave_out_others}
    how: dict[str, Any] = {**text, "say": say, "rows": rows, "progress": progress, "stats": stats}
    return (
        ItemLoader(*where, items, seed, label, in_order=in_order, **how)
        if items
        else CharSplitLMMinibatchLoader(*where, advise=advise, **how)
    )
