"""Opens the batches of a folder's text: of one text, or of the items of a list."""

from __future__ import annotations

import functools
from collections.abc import Collection

from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.text.batches import Batches
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.item_loader import ItemLoader, check_labels
from pycharrnn.text.loader import TextLoader
from pycharrnn.text.text_stats import TextStats
from pycharrnn.text.token_text import TokenText


def open_batches(
    data: DataSettings,
    *,
    say: PrintLine,
    rows: slice = slice(None),
    progress: int = 0,
    model_characters: Collection[bytes] | None,
    stats: TextStats | None = None,
    in_order: bool = False,
    advise: bool = True,
) -> Batches:
    """The batches of a text, or with `data.items`, those of a list. Errors: UserError.

    Args:
        model_characters, stats: as for TokenText.
        in_order: of a list: as for ItemLoader.
        advise: whether to print the original's advice on batch_size and seq_length for a small text.
        say, rows, progress: as for CharSplitLMMinibatchLoader.
    """
    read = functools.partial(TokenText, data.data_dir, progress=progress, encoding=data.encoding, stats=stats)
    text = read(say=say, model_characters=model_characters, leave_out_others=data.keeps_vocab)
    try:
        if not data.items:
            sizes = data.batch_size, data.seq_length, data.split_fractions
            return TextLoader(text, *sizes, say=say, rows=rows, advise=advise)
        if data.label:
            check_labels(text, data, functools.partial(read, say=print_nothing))
        return ItemLoader(text, data, say=say, rows=rows, progress=progress, in_order=in_order)
    except BaseException:
        text.close()
        raise
