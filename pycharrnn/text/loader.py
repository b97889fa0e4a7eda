"""CharSplitLMMinibatchLoader divides the token ids of input.txt into batches and splits as char-rnn does.

Source: util/CharSplitLMMinibatchLoader.lua. The text stays on disk; some of its columns are in memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from compat import T7Error
from compat.vocabulary import characters_by_id, vocabulary_of
from pycharrnn.common.display import quote_characters
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text import encodings, preprocessing

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.text.encodings import TokenIds
    from pycharrnn.text.text_stats import TextStats

_READ_AHEAD = 1 << 14  # characters of each row that are read at a time
_MAX_AHEAD = 1 << 22  # characters of all rows together

TRAIN, VAL, TEST = 1, 2, 3
_SPLIT_NAMES = {TRAIN: "train", VAL: "val", TEST: "test"}


class TextChanged(UserError):
    """Another program changed the cache of the text while it was in use."""


class CharSplitLMMinibatchLoader:
    """Batches of a text, in char-rnn's order.

    The text is cut to a multiple of batch_size*seq_length characters and laid out as batch_size rows. Batch k is the
    columns k*seq_length to (k+1)*seq_length - 1 of all rows. Training batches come first, then validation, then test.

    Args:
        data_dir: folder with input.txt and its cache.
        batch_size, seq_length: rows B and time steps T of a batch.
        split_fractions: (train, val, test) fractions of the batches; with a test fraction of 0, val gets all the rest.
        say: prints the original's messages, line by line.
        rows: the rows of every batch that next_batch returns; default: all.
        encoding: "bytes" or "utf8" (code points).
        model_characters: characters that the vocabulary has besides those of the text.
        leave_out_others: leave all characters but `model_characters` out of the text.
        stats: text_stats(data_dir), if the caller has it.

    Attributes:
        vocab_mapping: character (one byte, or the bytes of a code point) -> token id from 1, in the order of the bytes.
        vocab_size: V. nbatches, ntrain, nval, ntest: number of batches, of the text and of each split.
        split_sizes: split (1 train, 2 val, 3 test) -> number of batches.
        batch_ix: split -> number of batches that next_batch has returned since the beginning of the split.

    Errors: UserError.

    Example:
        >>> loader = CharSplitLMMinibatchLoader("data/tinyshakespeare", 50, 50, (0.95, 0.05, 0))
        >>> x, y = loader.next_batch(TRAIN)     # (50, 50) each, y one character further on
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        batch_size: int,
        seq_length: int,
        split_fractions: tuple[float, float, float],
        *,
        say: Callable[[str], None] = print,
        rows: slice = slice(None),
        progress: int = 0,
        encoding: str = "bytes",
        model_characters: Collection[bytes] | None = None,
        leave_out_others: bool = False,
        stats: TextStats | None = None,
    ):
        self.batch_size, self.seq_length = batch_size, seq_length
        self._rows = range(batch_size)[rows]
        vocab, text = preprocessing.cached(os.fspath(data_dir), say, progress, encoding, stats)
        self.vocab_mapping, self._size_of_cached_vocab = vocab, len(vocab)
        if model_characters is not None:
            new = sorted(set(vocab) - set(model_characters))
            if new and leave_out_others:
                length = len(text)
                text = preprocessing.without_characters(os.fspath(data_dir), text, vocab, new, progress)
                say(f"characters left out of the text ({length - len(text)} of {length}): {quote_characters(new)}")
            elif new:
                say(f"characters added to the vocabulary ({len(new)}): {quote_characters(new)}")
            characters = sorted(model_characters if leave_out_others else {*model_characters, *new})
            self.vocab_mapping = vocabulary_of(characters)
        self._remap = None if self.vocab_mapping == vocab else _id_map(vocab, self.vocab_mapping)
        self.vocab_size = len(self.vocab_mapping)
        length = len(text) - len(text) % (batch_size * seq_length)
        if length != len(text):
            say("cutting off end of data so that the batches/sequences divide evenly")
        if not length:
            raise UserError(_too_short(len(text), batch_size, seq_length))
        self._text = text
        say("reshaping tensor...")
        self._row_length = length // batch_size
        self.nbatches = self._row_length // seq_length
        self._window: TokenIds | None = None  # columns of the rows, read ahead
        self._columns = range(0)  # the columns in `_window`
        if self.nbatches < 50:
            say(
                "WARNING: less than 50 batches in the data in total? Looks like very small dataset."
                " You probably want to use smaller batch_size and/or seq_length."
            )
        self._split(*split_fractions)
        say(f"data load done. Number of data batches in train: {self.ntrain}, val: {self.nval}, test: {self.ntest}")

    def close(self) -> None:
        """Close the cache, which Windows can't replace or remove before."""
        self._text.close()

    def _split(self, train: float, val: float, test: float) -> None:
        for name, fraction in (("train", train), ("val", val), ("test", test)):
            if not 0 <= fraction <= 1:
                raise UserError(f"bad split fraction {fraction:g} for {name}: it must lie between 0 and 1.")
        self.ntrain = int(self.nbatches * train)
        self.nval = self.nbatches - self.ntrain if test == 0 else int(self.nbatches * val)
        self.ntest = self.nbatches - self.ntrain - self.nval
        if self.nval < 0 or self.ntest < 0:
            raise UserError(
                f"the split fractions {train:g}, {val:g} and {test:g} sum to more than 1; lower one of them."
            )
        self.split_sizes = {TRAIN: self.ntrain, VAL: self.nval, TEST: self.ntest}
        self._first = {TRAIN: 0, VAL: self.ntrain, TEST: self.ntrain + self.nval}
        self.batch_ix = {TRAIN: 0, VAL: 0, TEST: 0}

    def reset_batch_pointer(self, split_index: int, batch_index: int = 0) -> None:
        """Make batch `batch_index` (from 0) the next one of a split (1 train, 2 val, 3 test)."""
        self.batch_ix[split_index] = batch_index

    def next_batch(self, split_index: int) -> tuple[TokenIds, TokenIds]:
        """The next (x, y) of a split (1 train, 2 val, 3 test); the first batch follows the last.

        Returns: two new (rows, seq_length) arrays of token ids; uint8, or int32 if the vocabulary may be too large for
            it. y is x shifted by one character; the first character of the text follows the very last.
        Errors: UserError for a split without batches; TextChanged, after which the same batch is still the next.
        """
        size = self.split_sizes[split_index]
        if size == 0:
            name = _SPLIT_NAMES[split_index]
            raise UserError(
                f"the {name} split has no data: use a larger {flag(f'{name}_frac')},"
                f" a smaller {flag('batch_size')} or a smaller {flag('seq_length')}."
            )
        k = self.batch_ix[split_index] % size
        start = (self._first[split_index] + k) * self.seq_length
        end = start + self.seq_length  # the column of y's last character
        window = self._window
        if window is None or not (self._columns.start <= start and end < self._columns.stop):
            ahead = min(_READ_AHEAD, _MAX_AHEAD // len(self._rows))
            window = self._read_columns(start, max(end + 1, start + ahead))
        self.batch_ix[split_index] = k + 1
        batch = window[:, start - self._columns.start : end + 1 - self._columns.start].copy()
        return batch[:, :-1], batch[:, 1:]

    def _read_columns(self, start: int, stop: int) -> TokenIds:
        """Read columns `start` to `stop` - 1, if they exist, into `_window`, (rows, columns). Errors: TextChanged."""
        length = self._row_length
        stop = min(stop, length + 1)  # the column after the last holds the character after each row
        text_length = self.batch_size * length
        stored = np.empty((len(self._rows), stop - start), self._text.dtype)
        try:
            for to, row in zip(stored, self._rows, strict=True):
                first, last = row * length + start, row * length + stop
                to[: min(last, text_length) - first] = self._text.read(first, min(last, text_length))
                if last > text_length:
                    to[-1:] = self._text.read(0, 1)
            numbers = encodings.token_ids(stored.reshape(-1), self._size_of_cached_vocab)
        except OSError as e:
            fault = e if isinstance(e, T7Error) else e.strerror or e
            raise TextChanged(
                f"{self._text.path} can't be read any more ({fault}): remove it, and it is made anew from input.txt."
            ) from e
        window: TokenIds = numbers.reshape(stored.shape)
        if self._remap is not None:
            window = self._remap[window]
        self._window, self._columns = window, range(start, stop)
        return window


def _too_short(length: int, batch_size: int, seq_length: int) -> str:
    fit_batch, fit_length = (length // seq_length, seq_length) if length >= seq_length else (1, length)
    return (
        f"input.txt has {length} characters, fewer than {flag('batch_size', batch_size)} x"
        f" {flag('seq_length', seq_length)}: at most {flag('batch_size', fit_batch)} {flag('seq_length', fit_length)}"
        " fits."
    )


def _id_map(vocab: dict[bytes, int], to: dict[bytes, int]) -> npt.NDArray[np.uint8] | npt.NDArray[np.int32]:
    """Token id in one vocabulary -> id in another; 0 for characters that the other lacks."""
    ids = np.array([to.get(c, 1) - 1 for c in characters_by_id(vocab)])
    return ids.astype(np.uint8) if len(to) <= 256 else ids.astype(np.int32)
