"""CharSplitLMMinibatchLoader divides the token ids of input.txt into batches and splits as char-rnn does.

Source: util/CharSplitLMMinibatchLoader.lua. The text stays on disk; some of its columns are in memory at a time.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common.errors import UserError, flag, in_words_of_a_program
from pycharrnn.common.printing import PrintLine
from pycharrnn.text.batches import TEST, TRAIN, VAL, Batches, check_fractions, check_sizes, no_data
from pycharrnn.text.encodings import ENCODINGS
from pycharrnn.text.token_text import TextChanged, TokenText

if TYPE_CHECKING:
    from pycharrnn.text.encodings import TokenIds

__all__ = ["TEST", "TRAIN", "VAL", "CharSplitLMMinibatchLoader", "TextChanged"]

_READ_AHEAD = 1 << 14  # characters of each row that are read at a time
_MAX_AHEAD = 1 << 22  # characters of all rows together
_MOST_BATCHES = 10_000  # to search for the least that give each split a batch

Fractions = tuple[float, float, float]  # of the batches, in the train, val and test splits


class TextLoader(Batches):
    """Batches of an open text, which `close` closes. Layout and arguments: as for CharSplitLMMinibatchLoader.

    Errors: UserError.
    """

    def __init__(
        self,
        text: TokenText,
        batch_size: int,
        seq_length: int,
        split_fractions: Fractions,
        *,
        say: PrintLine,
        rows: slice = slice(None),
        advise: bool = True,
    ):
        super().__init__(text.vocab, batch_size, seq_length)
        self._text = text
        self._rows = range(batch_size)[rows]
        length = len(text) - len(text) % (batch_size * seq_length)
        if length != len(text):
            say("cutting off end of data so that the batches/sequences divide evenly")
        if not length:
            raise too_short(len(text), batch_size, seq_length, split_fractions)
        say("reshaping tensor...")
        self._row_length = length // batch_size
        nbatches = self._row_length // seq_length
        self._window: TokenIds | None = None  # columns of the rows, read ahead
        self._columns = range(0)  # the columns in `_window`
        if nbatches < 50 and advise:
            say(
                "WARNING: less than 50 batches in the data in total? Looks like very small dataset."
                " You probably want to use smaller batch_size and/or seq_length."
            )
        self._split(nbatches, *split_fractions)
        say(f"data load done. Number of data batches in train: {self.ntrain}, val: {self.nval}, test: {self.ntest}")

    def _split(self, nbatches: int, train: float, val: float, test: float) -> None:
        check_fractions(train, val, test)
        ntrain, nval, ntest = split(nbatches, (train, val, test))
        if ntest < 0:
            raise UserError(
                f"the split fractions {train:g}, {val:g} and {test:g} sum to more than 1; lower one of them."
            )
        self._set_sizes(ntrain, nval, ntest)
        self._first = {TRAIN: 0, VAL: ntrain, TEST: ntrain + nval}

    def next_batch(self, split_index: int) -> tuple[TokenIds, TokenIds]:
        """The next (x, y) of a split (1 train, 2 val, 3 test); the first batch follows the last.

        Returns: two new (rows, seq_length) arrays of token ids; uint8, or int32 if the vocabulary may be too large for
            it. y is x shifted by one character; the first character of the text follows the very last.
        Errors: UserError for a split without batches; ValueError for another number; TextChanged, after which the same
            batch is still the next.
        """
        if split_index not in self.split_sizes:
            raise ValueError(f"split_index must be 1 (train), 2 (val) or 3 (test), not {reprlib.repr(split_index)}")
        size = self.split_sizes[split_index]
        if size == 0:
            raise no_data(split_index)
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

    def texts(self, split_index: int) -> Iterator[Iterator[bytes]]:
        """The columns of a split, row by row; the characters that are only targets are left out."""
        first = self._first[split_index] * self.seq_length
        last = first + self.split_sizes[split_index] * self.seq_length
        for row in range(0, self.batch_size * self._row_length, self._row_length):
            yield self._text.pieces_of(row + first, row + last)

    def _read_columns(self, start: int, stop: int) -> TokenIds:
        """Read columns `start` to `stop` - 1, if they exist, into `_window`, (rows, columns). Errors: TextChanged."""
        length = self._row_length
        stop = min(stop, length + 1)  # the column after the last holds the character after each row
        text_length = self.batch_size * length
        window: TokenIds = np.empty((len(self._rows), stop - start), self._text.dtype)
        for to, row in zip(window, self._rows, strict=True):
            first, last = row * length + start, row * length + stop
            to[: min(last, text_length) - first] = self._text.read(first, min(last, text_length))
            if last > text_length:
                to[-1:] = self._text.read(0, 1)
        self._window, self._columns = window, range(start, stop)
        return window

    def close(self) -> None:
        self._text.close()


class CharSplitLMMinibatchLoader(TextLoader):
    """Batches of a text, in char-rnn's order.

    The text is cut to a multiple of batch_size*seq_length characters and laid out as batch_size rows. Batch k is the
    columns k*seq_length to (k+1)*seq_length - 1 of all rows. Training batches come first, then validation, then test.

    Args:
        data_dir: folder with input.txt and its cache.
        batch_size, seq_length: rows B and time steps T of a batch.
        split_fractions: (train, val, test) fractions of the batches; with a test fraction of 0, val gets all the rest.
        say: prints the original's messages, line by line.
        rows: the rows of every batch that next_batch returns; default: all.
        progress: 1 = show a bar on stderr, if it is a terminal, when preprocessing takes more than a second; 0 = none.
        encoding: "bytes" or "utf8" (code points).

    Attributes:
        vocab_mapping: character (one byte, or the bytes of a code point) -> token id from 1, in the order of the bytes.
        vocab_size: V. nbatches, ntrain, nval, ntest: number of batches, of the text and of each split.
        split_sizes: split (1 train, 2 val, 3 test) -> number of batches.
        batch_ix: split -> number of batches that next_batch has returned since the beginning of the split.

    Errors: UserError for a size below 1, a fraction outside [0, 1], another encoding, or a text that is missing or
        shorter than a batch; TypeError.

    Example:
        >>> loader = CharSplitLMMinibatchLoader("data/tinyshakespeare", 50, 50, (0.95, 0.05, 0))
        >>> x, y = loader.next_batch(1)  # of the training split: (50, 50) each, y one character further on
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        batch_size: int,
        seq_length: int,
        split_fractions: Fractions,
        *,
        say: PrintLine = print,
        rows: slice = slice(None),
        progress: int = 0,
        encoding: str = "bytes",
    ):
        if not isinstance(data_dir, (str, os.PathLike)):
            raise TypeError(f"data_dir must be a str or a path, not {reprlib.repr(data_dir)}")
        if not isinstance(split_fractions, (tuple, list)) or len(split_fractions) != 3:
            given = reprlib.repr(split_fractions)
            raise TypeError(f"split_fractions must be three numbers (train, val, test), not {given}")
        if not isinstance(encoding, str):
            raise TypeError(f"encoding must be a str, not {reprlib.repr(encoding)}")
        if encoding not in ENCODINGS:
            raise UserError(f"encoding must be {' or '.join(map(repr, ENCODINGS))}, not {reprlib.repr(encoding)}.")
        with in_words_of_a_program():
            check_sizes(batch_size, seq_length)
            text = TokenText(os.fspath(data_dir), say=say, progress=progress, encoding=encoding)
            try:
                super().__init__(text, batch_size, seq_length, split_fractions, say=say, rows=rows)
            except BaseException:
                text.close()
                raise

    def next_batch(self, split_index: int) -> tuple[TokenIds, TokenIds]:
        """See TextLoader.next_batch."""
        with in_words_of_a_program(train_frac="train fraction", val_frac="val fraction"):
            return super().next_batch(split_index)


def split(nbatches: int, fractions: Fractions) -> tuple[int, int, int]:
    """The number of batches in the train, val and test splits."""
    train, val, test = fractions
    ntrain = int(nbatches * train)
    nval = nbatches - ntrain if test == 0 else int(nbatches * val)
    return ntrain, nval, nbatches - ntrain - nval


def largest_sizes(length: int, batch_size: int, seq_length: int, fractions: Fractions) -> str:
    """Sizes not above the given ones with which training and validation have a batch each, as flags; "" if none."""
    needed = [k for k in (0, 1) if fractions[k] > 0]
    enough = (n for n in range(1, _MOST_BATCHES) if all(split(n, fractions)[k] > 0 for k in needed))
    nbatches = next(enough, length + 1)
    rows = min(batch_size, length // (seq_length * nbatches))
    rows, steps = (rows, seq_length) if rows else (1, length // nbatches)
    return f"{flag('batch_size', rows)} {flag('seq_length', steps)}" if steps else ""


def too_short(length: int, batch_size: int, seq_length: int, fractions: Fractions) -> UserError:
    """The error for a text of less than a batch."""
    sizes = largest_sizes(length, batch_size, seq_length, fractions)
    return UserError(
        f"input.txt has {length} characters, fewer than {flag('batch_size', batch_size)} x"
        f" {flag('seq_length', seq_length)}",
        f"use at most {sizes}" if sizes else "use a longer text",
        ["batch_size", "seq_length"],
    )
