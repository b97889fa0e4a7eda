"""ItemLoader divides a list into batches: items one after the other in each row, in a new order every epoch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from compat.item_options import ITEM_KINDS, TAB
from pycharrnn.common.display import escape_line, plural, quote_character, quote_characters
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.targets import IGNORED
from pycharrnn.text import item_index, items, labels
from pycharrnn.text.batches import SPLIT_NAMES, TEST, TRAIN, VAL, Batches, check_fractions, no_data
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.item_order import Order, Splits
from pycharrnn.text.item_rows import ItemRows, Piece
from pycharrnn.text.token_text import TextChanged, TokenText

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.text.encodings import TokenIds

    Numbers = npt.NDArray[np.int64]

_READ_AHEAD = 1 << 18  # characters that are read at a time as text
_FEW = 5  # items of validation, below which its loss says little
_HELD = 1 << 26  # bytes of token ids that are held in memory; of a longer text, items are read from the disk


class ItemLoader(Batches):
    """Batches of a list, of whose items each one is learnt by itself.

    An item in a row is its end character, which resets the hidden state, and its characters; the end character of the
    next item, which is its target, follows. So a row has no padding, and a long item goes on in the next batch. A row
    that becomes free takes the next item of the order. The order goes on over the end of an epoch, which has as many
    batches as the characters of the training split fill: no item is read again before all have been read. Batches of
    the other splits hold each item once; end characters fill the rows after their last items.

    Targets that are no part of an item are IGNORED: what fills the rows, and labels with their tabs.

    Args:
        text: of the list; `close` closes it.
        data: the seed is that of the splits and the order; the fractions are of the items.
        in_order: read the training split like the others: once, in the order of the list. Batches are made smaller
            than data says where a batch would have more characters than the list.
        say, rows, progress: as for CharSplitLMMinibatchLoader.

    Errors: UserError.
    """

    def __init__(
        self,
        text: TokenText,
        data: DataSettings,
        *,
        say: PrintLine,
        rows: slice = slice(None),
        progress: int = 0,
        in_order: bool = False,
    ):
        check_fractions(*data.split_fractions)
        super().__init__(text.vocab, data.batch_size, data.seq_length)
        self._text = text
        self.end_id = _end_id(text, data)
        self._in_order, self._is_utf8, self._seed = in_order, data.encoding == "utf8", data.seed
        end = ITEM_KINDS[data.items].end
        self._index = item_index.load(data.data_dir, text, data.items, end, self._is_utf8, progress, data.label)
        self._splits = Splits(self._index, data.split_fractions, data.seed)
        sizes = self._splits.sizes
        if in_order:  # a checkpoint may record any sizes, and the loss is the same with smaller ones
            self.batch_size = min(data.batch_size, len(self._index))
            characters = sum(size.characters for size in sizes.values())
            self.seq_length = min(data.seq_length, max(1, characters // self.batch_size))
        self._rows = range(self.batch_size)[rows]
        self._held = text.read(0, len(text)) if len(text) * text.dtype.itemsize <= _HELD else None
        distinct = item_index.count_distinct(self._index)
        longest = item_index.longest(self._index)
        say(f"items: {len(self._index)}, {distinct} of them distinct; the longest has {longest} characters")
        say(f"items in train: {sizes[TRAIN].items}, val: {sizes[VAL].items}, test: {sizes[TEST].items}")
        if 0 < sizes[VAL].items < _FEW:
            say(
                f"WARNING: val has {sizes[VAL].items} {plural(sizes[VAL].items, 'item')}, whose loss says little about"
                " which checkpoint is best: add items, or compare samples of the best and of the latest."
            )
        if data.label:
            self.label_counts = self._splits.counts_by_label(TRAIN, item_index.labels(self._index, text))
            say(f"labels in train: {labels.in_words(self.label_counts)}")
        ntrain = sizes[TRAIN].characters // (self.batch_size * self.seq_length)
        if not ntrain and not in_order:
            raise UserError(_too_short(sizes[TRAIN].characters, self.batch_size, self.seq_length))
        columns = {split: self._start(split).columns() for split in sizes if in_order or split != TRAIN}
        once = {split: -(-count // self.seq_length) for split, count in columns.items()}
        self._of_split = {split: self._start(split) for split in (TRAIN, VAL, TEST)}
        self._set_sizes(once.get(TRAIN, ntrain), once[VAL], once[TEST])
        say(f"data load done. Number of data batches in train: {self.ntrain}, val: {self.nval}, test: {self.ntest}")

    def _start(self, split: int, passes: int = 0, position: int = 0) -> ItemRows:
        is_shuffled = split == TRAIN and not self._in_order
        order = Order(self._index, self._splits, split, self._seed if is_shuffled else None, passes, position)
        return ItemRows(order, self.batch_size)

    def reset_batch_pointer(self, split_index: int, batch_index: int = 0) -> None:
        """Begin a split again, so that batch_ix is `batch_index`: in training, with the order of that epoch."""
        super().reset_batch_pointer(split_index, batch_index)
        passes = batch_index // self.ntrain if split_index == TRAIN and not self._in_order else 0
        self._of_split[split_index] = self._start(split_index, passes)

    def next_batch(self, split_index: int) -> tuple[TokenIds, TokenIds]:
        if not self.split_sizes[split_index]:
            raise no_data(split_index)
        rows = self._of_split[split_index]
        before = rows.state() if split_index == TRAIN and self._held is None else ()
        try:
            x, y = self._filled(rows.pieces(self.seq_length))
        except TextChanged:
            self.reset_batch_pointer(split_index, self.batch_ix[split_index] if split_index == TRAIN else 0)
            self.restore_items(before)
            raise
        rows.advance(self.seq_length)
        self.batch_ix[split_index] += 1
        return x, y

    def _filled(self, pieces: Sequence[Piece]) -> tuple[TokenIds, TokenIds]:
        """x and y of the rows of this loader; sets `counted`."""
        T, width = self.seq_length, self.seq_length + 1
        batch: TokenIds = np.full((len(self._rows), width), self.end_id, self._text.dtype)
        table = np.array(pieces, np.int64).reshape(-1, 5)
        is_ours = (table[:, 0] >= self._rows.start) & (table[:, 0] < self._rows.stop)
        rows, columns, starts, lengths, _ = table[is_ours].T
        first = np.maximum(columns + 1, 0)  # the column of the first character in the batch
        counts = np.maximum(np.minimum(columns + 1 + lengths, width) - first, 0)
        starts = starts + first - columns - 1
        to, within = _spans((rows - self._rows.start) * width + first, counts)
        if self._held is not None:
            batch.reshape(-1)[to] = self._held[np.repeat(starts, counts) + within]
        elif len(to):
            found = [self._text.read(s, s + n) for s, n in zip(starts.tolist(), counts.tolist(), strict=True)]
            batch.reshape(-1)[to] = np.concatenate(found)
        x, y = batch[:, :-1], batch[:, 1:]
        # The targets of an item: its characters, in the columns of y from that of its end character in x on, and its
        # end; without those of its label.
        skips = self._index["skip"][table[:, 4]] if self.label_counts else 0
        first = np.clip(table[:, 1] + skips, 0, T)
        counts = np.maximum(np.minimum(table[:, 1] + table[:, 3] + 1, T) - first, 0)
        self.counted = int(counts.sum())
        if self.counted == self.batch_size * T:
            return x, y
        is_counted = np.zeros(y.shape, bool)
        to, _ = _spans((table[is_ours, 0] - self._rows.start) * T + first[is_ours], counts[is_ours])
        is_counted.reshape(-1)[to] = True
        return x, np.where(is_counted, y, np.int32(IGNORED))

    def texts(self, split_index: int) -> Iterator[Iterator[bytes]]:
        """The items of a split, in the order of the list, each with its end character and without its label."""
        block: str | bytes = b""
        first = last = 0  # the characters in `block`
        for _, number, start, length in Order(self._index, self._splits, split_index, None):
            skip = int(self._index["skip"][number]) if self.label_counts else 0
            end = start + length + 1
            if end > last:
                first, last = start, min(max(end, start + _READ_AHEAD), len(self._text))
                content = b"".join(self._text.pieces_of(first, last))
                block = content.decode() if self._is_utf8 else content
            item = block[start + skip - first : end - first]
            yield iter((item.encode() if isinstance(item, str) else item,))

    def item_positions(self) -> tuple[int, ...]:
        return self._of_split[TRAIN].state()

    def restore_items(self, positions: Sequence[int]) -> None:
        if not positions:
            return
        passes, position, *rows = positions if len(positions) == 2 + 2 * self.batch_size else (0, 0)
        numbers, read = rows[::2], rows[1::2]
        fits = bool(rows) and passes < 1 << 31 and max(numbers) < len(self._index)
        found = self._index[numbers] if fits else self._index[:0]
        if not fits or np.any(found["length"] + 1 < read):
            raise UserError("the checkpoint records positions that do not fit this list: start a new run.")
        restored = self._start(TRAIN, passes, position)
        restored.restore(numbers, read, found["start"].tolist(), found["length"].tolist())
        self._of_split[TRAIN] = restored

    def close(self) -> None:
        self._text.close()


def _spans(first: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
    """The numbers of spans, `counts` each from `first` on, one span after the other; and their places in the spans.

    Example:
        >>> _spans(np.array([5, 20]), np.array([3, 2]))
        (array([ 5,  6,  7, 20, 21]), array([0, 1, 2, 0, 1]))
    """
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + within, within


def check_labels(text: TokenText, data: DataSettings, open_whole: Callable[[], TokenText]) -> None:
    """Check that -vocab keep leaves no character of a label out of a text, nor the tab after it.

    `open_whole` opens the text with all of its characters. Errors: UserError.
    """
    if data.keeps_vocab and TAB not in text.vocab:
        raise _lacks(TAB, f"the labels of {flag('label', data.label)}")
    if text.left_out:
        with closing(open_whole()) as whole:
            _refuse_cut_labels(whole, text.left_out, ITEM_KINDS[data.items].end, data.label)


def _end_id(text: TokenText, data: DataSettings) -> int:
    end = ITEM_KINDS[data.items].end
    if end in text.vocab:
        return text.vocab[end] - 1
    if data.keeps_vocab:
        raise _lacks(end, f"the items of {flag('items', data.items)}")
    if ITEM_KINDS[data.items].ends_in_source:
        raise UserError(f"{data.data_dir}/input.txt has one line: {flag('items', data.items)} needs two or more.")
    raise UserError(
        f"{data.data_dir}/input.txt has no U+001E, which ends the items of {flag('items', data.items)}",
        f"name the texts themselves instead of {flag('data_dir')}",
        ["items"],
    )


def _lacks(character: bytes, ended: str) -> UserError:
    return UserError(
        f"the checkpoint's vocabulary lacks {quote_character(character)}, which ends {ended}",
        f"use {flag('vocab', 'extend')}",
        ["vocab"],
    )


def _refuse_cut_labels(whole: TokenText, left_out: Collection[bytes], end: bytes, label: str) -> None:
    """Errors: UserError for a label of the whole text with a character that is left out."""
    found = {labels.split(item, label)[0] for item in items.of_input(whole.pieces(), end, items.MAX_ITEM)}
    for name in sorted(found):
        if missing := [character for character in left_out if character in name]:
            raise UserError(
                f"the checkpoint's vocabulary lacks {quote_characters(missing)} of the label {escape_line(name, 40)}",
                f"use {flag('vocab', 'extend')}, or rename the label",
                ["vocab"],
            )


def _too_short(length: int, batch_size: int, seq_length: int) -> str:
    fit_batch, fit_length = (length // seq_length, seq_length) if length >= seq_length else (1, length)
    return (
        f"the items of the {SPLIT_NAMES[TRAIN]} split have {length} characters, fewer than"
        f" {flag('batch_size', batch_size)} x {flag('seq_length', seq_length)}: at most"
        f" {flag('batch_size', fit_batch)} {flag('seq_length', fit_length)} fits."
    )
