"""CharSplitLMMinibatchLoader: input.txt as numbered characters, cut into batches and splits as char-rnn cuts them.

Source: util/CharSplitLMMinibatchLoader.lua. The text stays on disk, and some columns of it at a time are in memory,
which stays small whatever the size of the text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

import numpy as np

from compat import T7Error
from pycharrnn.common.errors import UserError
from pycharrnn.text import preprocessing

_READ_AHEAD = 1 << 14  # characters of each row that are read at a time, so that reading costs next to nothing
_MOST_AHEAD = 1 << 22  # and of all rows together

TRAIN, VAL, TEST = 1, 2, 3
_SPLIT_NAMES = {TRAIN: "train", VAL: "val", TEST: "test"}


class TextChanged(UserError):
    """The cache of the text was changed by somebody else while batches were made of it."""


class CharSplitLMMinibatchLoader:
    """Batches of a text, in the order of char-rnn.

    The text is cut to a multiple of batch_size*seq_length and laid out as batch_size rows; batch k is columns
    k*seq_length... of every row. Training batches come first, then validation, then test.

    Args:
        data_dir: folder with input.txt, beside which preprocessing keeps its cache.
        split_fractions: (train, val, test) fractions of the batches; a test fraction of 0 gives val all the rest.
        say: where the original's messages go.
        rows: the rows of every batch that next_batch gives; default: all.
        progress: whether to show bars, as for progress.enabled.
        encoding: what characters are, "bytes" or "utf8" (code points).
        known: characters that have numbers beside those of the text; a model's.
        keep: with `known`: leave all other characters out of the text.

    Attributes:
        vocab_mapping: character (one byte, or the bytes of a code point) -> number from 1, in the order of the bytes.
        vocab_size: how many.
        nbatches, ntrain, nval, ntest: numbers of batches.

    Errors: UserError, in next_batch too; there TextChanged if somebody writes to the cache of the text.

    Example:
        >>> loader = CharSplitLMMinibatchLoader("data/tinyshakespeare", 50, 50, (0.95, 0.05, 0))
        >>> x, y = loader.next_batch(TRAIN)     # (50, 50) each, y one character further on
    """

    def __init__(
        self,
        data_dir: str | os.PathLike,
        batch_size: int,
        seq_length: int,
        split_fractions: tuple[float, float, float],
        say: Callable[[str], None] = print,
        rows: slice = slice(None),
        progress: int = 0,
        encoding: str = "bytes",
        known: Collection[bytes] | None = None,
        keep: bool = False,
    ):
        self.batch_size, self.seq_length = batch_size, seq_length
        self._rows = range(batch_size)[rows]
        of_text, data = preprocessing.cached(os.fspath(data_dir), say, progress, encoding)
        self.vocab_mapping, self._translation = of_text, None
        if known is not None:
            new = sorted(set(of_text) - set(known))
            if new and keep:
                length = len(data)
                data = preprocessing.without(os.fspath(data_dir), data, of_text, new, progress)
                say(f"characters left out of the text ({length - len(data)} of {length}): {shown(new)}")
            elif new:
                say(f"characters added to the vocabulary ({len(new)}): {shown(new)}")
            characters = sorted(known if keep else {*known, *new})
            self.vocab_mapping = {c: number for number, c in enumerate(characters, 1)}
            if self.vocab_mapping != of_text:
                self._translation = _translation(of_text, self.vocab_mapping)
        self.vocab_size = len(self.vocab_mapping)
        cut = len(data) - len(data) % (batch_size * seq_length)
        if cut != len(data):
            say("cutting off end of data so that the batches/sequences divide evenly")
        if not cut:
            raise UserError(_too_short(len(data), batch_size, seq_length))
        self._text, self._size_of_text = data, len(of_text)
        say("reshaping tensor...")
        self._row_length = cut // batch_size
        self.nbatches = self._row_length // seq_length
        self._window = self._columns = None  # some columns of the text, and which: a range
        if self.nbatches < 50:
            say(
                "WARNING: less than 50 batches in the data in total? Looks like very small dataset."
                " You probably want to use smaller batch_size and/or seq_length."
            )
        self._split(*split_fractions)
        say(f"data load done. Number of data batches in train: {self.ntrain}, val: {self.nval}, test: {self.ntest}")

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
        """Make batch `batch_index` (from 0) the next one of a split."""
        self.batch_ix[split_index] = batch_index

    def next_batch(self, split_index: int) -> tuple[np.ndarray, np.ndarray]:
        """The next (x, y) of a split (1 train, 2 val, 3 test), starting over at its end.

        Returns: two (rows, seq_length) arrays, characters numbered from 0 (vocab_mapping's number less 1); uint8, or
            int32 where a vocabulary may be too large for that. y is x moved one on; after the very last character
            comes the first.

        Errors: UserError if the split has no batch.
        """
        size = self.split_sizes[split_index]
        if size == 0:
            raise UserError(
                f"the {_SPLIT_NAMES[split_index]} split has no data: use a larger -{_SPLIT_NAMES[split_index]}_frac,"
                " a smaller -batch_size or a smaller -seq_length."
            )
        k = self.batch_ix[split_index] % size
        start = (self._first[split_index] + k) * self.seq_length
        end = start + self.seq_length  # the column of y's last character
        if self._window is None or not (self._columns.start <= start and end < self._columns.stop):
            ahead = min(_READ_AHEAD, _MOST_AHEAD // len(self._rows))
            self._read_columns(start, max(end + 1, start + ahead))
        self.batch_ix[split_index] = k + 1
        batch = self._window[:, start - self._columns.start : end + 1 - self._columns.start].copy()
        return batch[:, :-1], batch[:, 1:]

    def _read_columns(self, start: int, stop: int) -> None:
        """Make `_window` hold columns `start` to `stop`, as next_batch gives them; fewer at the end of the rows."""
        length = self._row_length
        stop = min(stop, length + 1)  # the column after the last holds what follows each row
        text_length = self.batch_size * length
        window = np.empty((len(self._rows), stop - start), self._text.dtype)
        try:
            for to, row in zip(window, self._rows, strict=True):
                first, last = row * length + start, row * length + stop
                to[: min(last, text_length) - first] = self._text.read(first, min(last, text_length))
                if last > text_length:
                    to[-1:] = self._text.read(0, 1)
            flat = preprocessing.from_zero(window.reshape(-1), self._size_of_text)
        except OSError as e:
            fault = e if isinstance(e, T7Error) else e.strerror or e
            raise TextChanged(
                f"{self._text.path} can't be read any more ({fault}): remove it, and it is made anew from input.txt."
            ) from e
        window = flat.reshape(window.shape)
        self._window = window if self._translation is None else self._translation[window]
        self._columns = range(start, stop)


def _too_short(length: int, batch_size: int, seq_length: int) -> str:
    """Say the largest pair that fits: the same seq_length if a batch of one allows it, else a shorter one."""
    fit_batch, fit_length = (length // seq_length, seq_length) if length >= seq_length else (1, length)
    return (
        f"input.txt has {length} characters, fewer than -batch_size {batch_size} x -seq_length {seq_length}:"
        f" at most -batch_size {fit_batch} -seq_length {fit_length} fits."
    )


def _translation(vocab: dict[bytes, int], to: dict[bytes, int]) -> np.ndarray:
    """Number in one vocabulary -> number in another, both from 0; 0 for what the other lacks."""
    numbers = np.array([to.get(c, 1) - 1 for c, _ in sorted(vocab.items(), key=lambda entry: entry[1])])
    return numbers.astype(np.uint8 if len(to) <= 256 else np.int32)


def shown(characters: Collection[bytes]) -> str:
    """Some characters for a message, in the order of their bytes, at most twenty."""
    words = [
        repr(c.decode("utf-8", "backslashreplace") if len(c) > 1 else c).removeprefix("b")
        for c in sorted(characters)[:20]
    ]
    return " ".join(words) + (f" and {len(characters) - 20} more" if len(characters) > 20 else "")
