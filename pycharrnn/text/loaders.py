"""Opens the batches of a folder's text: of one text, or of the items of a list."""

from __future__ import annotations

from collections.abc import Collection

from pycharrnn.common.printing import PrintLine
from pycharrnn.text.batches import Batches
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.item_loader import open_items
from pycharrnn.text.loader import CharSplitLMMinibatchLoader
from pycharrnn.text.text_stats import TextStats


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
        in_order: of a list: as for ItemLoader. advise: of a text: as for CharSplitLMMinibatchLoader. Others: as there.
    """
    if data.items:
        return open_items(
            data,
            say=say,
            rows=rows,
            progress=progress,
            model_characters=model_characters,
            stats=stats,
            in_order=in_order,
        )
    return CharSplitLMMinibatchLoader(
        data.data_dir,
        data.batch_size,
        data.seq_length,
        data.split_fractions,
        say=say,
        rows=rows,
        progress=progress,
        encoding=data.encoding,
        model_characters=model_characters,
        leave_out_others=data.vocab == "keep",
        stats=stats,
        advise=advise,
    )
