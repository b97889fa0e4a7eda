"""CharSplitLMMinibatchLoader: input.txt as numbered characters, cut into batches and splits as char-rnn cuts them.

Source: util/CharSplitLMMinibatchLoader.lua. The text is bytes, never decoded. Preprocessing and batches look at the
files piece by piece, so memory stays small whatever the text's size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np

from compat import Storage, T7Error, Table, Tensor, load_t7, save_t7
from pycharrnn.options import UserError

TRAIN, VAL, TEST = 1, 2, 3
_SPLIT_NAMES = {TRAIN: "train", VAL: "val", TEST: "test"}
_PIECE = 1 << 22  # bytes of text held at a time
_CHECKED = 1 << 17  # bytes of the numbered text checked at a time: what fits in a processor's cache


class CharSplitLMMinibatchLoader:
    """Batches of a text, in the order of char-rnn.

    The text is cut to a multiple of batch_size*seq_length and laid out as batch_size rows; batch k is columns
    k*seq_length... of every row. Training batches come first, then validation, then test.

    Args:
        data_dir: folder with input.txt; vocab.t7 and data.t7 are cached there.
        split_fractions: (train, val, test) fractions of the batches; a test fraction of 0 gives val all the rest.
        say: where the original's messages go.
        rows: the rows of every batch that next_batch gives; default: all.

    Attributes:
        vocab_mapping: character (one byte) -> number from 1, in the order of the bytes. vocab_size: how many.
        nbatches, ntrain, nval, ntest: numbers of batches.

    Errors: UserError.

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
    ):
        self.batch_size, self.seq_length = batch_size, seq_length
        self._rows = range(batch_size)[rows]
        self.vocab_mapping, data = _cached(os.fspath(data_dir), say)
        self.vocab_size = len(self.vocab_mapping)
        cut = len(data) - len(data) % (batch_size * seq_length)
        if cut != len(data):
            say("cutting off end of data so that the batches/sequences divide evenly")
        if not cut:
            raise UserError(_too_short(len(data), batch_size, seq_length))
        self._data = data[:cut]
        say("reshaping tensor...")
        self._row_length = cut // batch_size
        self.nbatches = self._row_length // seq_length
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

        Returns: two (rows, seq_length) uint8 arrays, characters numbered from 0 (vocab_mapping's number less 1).
            y is x moved one on; after the very last character comes the first.

        Errors: UserError if the split has no batch.
        """
        size = self.split_sizes[split_index]
        if size == 0:
            raise UserError(
                f"the {_SPLIT_NAMES[split_index]} split has no data: use a larger -{_SPLIT_NAMES[split_index]}_frac,"
                " a smaller -batch_size or a smaller -seq_length."
            )
        k = self.batch_ix[split_index] % size
        self.batch_ix[split_index] = k + 1
        start = (self._first[split_index] + k) * self.seq_length
        rows = self._data.reshape(self.batch_size, self._row_length)[self._rows.start : self._rows.stop]
        window = np.empty((len(rows), self.seq_length + 1), np.uint8)
        window[:, :-1] = rows[:, start : start + self.seq_length]
        following = np.asarray(self._rows) * self._row_length + start + self.seq_length
        window[:, -1] = self._data[following % len(self._data)]
        window -= 1  # uint8: character 256 is stored as 0, and becomes 255
        return window[:, :-1], window[:, 1:]


def _too_short(length: int, batch_size: int, seq_length: int) -> str:
    """Say the largest pair that fits: the same seq_length if a batch of one allows it, else a shorter one."""
    fit_batch, fit_length = (length // seq_length, seq_length) if length >= seq_length else (1, length)
    return (
        f"input.txt has {length} characters, fewer than -batch_size {batch_size} x -seq_length {seq_length}:"
        f" at most -batch_size {fit_batch} -seq_length {fit_length} fits."
    )


# -- the cache beside input.txt --------------------------------------------------------------------------------------


def _cached(data_dir: str, say: Callable[[str], None]) -> tuple[dict[bytes, int], np.ndarray]:
    """The vocabulary and the numbered text (1-D uint8, memory-mapped), made anew if missing, stale or foreign."""
    input_file, vocab_file, tensor_file = (os.path.join(data_dir, n) for n in ("input.txt", "vocab.t7", "data.t7"))
    length = _input_length(data_dir, input_file)
    caches = [os.path.exists(f) for f in (vocab_file, tensor_file)]
    if not all(caches):
        missing = "vocab.t7 and data.t7 do not exist" if not any(caches) else "vocab.t7 or data.t7 does not exist"
        say(f"{missing}. Running preprocessing...")
    elif any(os.stat(input_file).st_mtime_ns > os.stat(f).st_mtime_ns for f in (vocab_file, tensor_file)):
        say("vocab.t7 or data.t7 detected as stale. Re-running preprocessing...")
    else:
        say("loading data files...")
        try:
            return _read_cache(vocab_file, tensor_file, length)
        except T7Error as e:
            say(f"vocab.t7 or data.t7 is not of this input.txt ({e}). Re-running preprocessing...")
    say(f"one-time setup: preprocessing input text file {input_file}...")
    try:
        text_to_tensor(input_file, vocab_file, tensor_file, say)
    except OSError as e:
        raise UserError(f"can't write the cache {vocab_file} and {tensor_file}: {e.strerror or e}.") from e
    say("loading data files...")
    try:
        return _read_cache(vocab_file, tensor_file, length)
    except T7Error as e:
        raise UserError(f"{input_file} changed while it was read ({e}); start again.") from e


def _input_length(data_dir: str, input_file: str) -> int:
    if os.path.isfile(data_dir):
        raise UserError(f"-data_dir {data_dir} is a file: put it into a folder as input.txt, and name the folder.")
    if not os.path.isdir(data_dir):
        raise UserError(f"there is no folder {data_dir}: make it, with your text in {input_file}, or mend -data_dir.")
    try:
        with open(input_file, "rb") as f:
            length = os.fstat(f.fileno()).st_size
    except FileNotFoundError:
        raise UserError(f"{data_dir} has no input.txt: put your text into {input_file}, or mend -data_dir.") from None
    except OSError as e:
        raise UserError(f"can't read {input_file}: {e.strerror or e}.") from e
    if length == 0:
        raise UserError(f"{input_file} is empty: put your text into it.")
    return length


def _read_cache(vocab_file: str, tensor_file: str, length: int) -> tuple[dict[bytes, int], np.ndarray]:
    """Errors: T7Error if the files are not what text_to_tensor makes of a text of `length` bytes."""
    vocab = load_t7(vocab_file)
    if not isinstance(vocab, Table) or not all(isinstance(c, bytes) and len(c) == 1 for c in vocab):
        raise T7Error("vocab.t7 holds no characters")
    if [v for _, v in sorted(vocab.items())] != list(range(1, len(vocab) + 1)):
        raise T7Error("the characters of vocab.t7 are not numbered in order")
    tensor = load_t7(tensor_file)
    if not isinstance(tensor, Tensor) or tensor.typename != b"torch.ByteTensor" or tensor.shape != (length,):
        raise T7Error(f"data.t7 does not hold {length} characters")
    data = tensor.numpy()
    for start in range(0, len(data), _CHECKED):
        highest = int((data[start : start + _CHECKED] - 1).max())  # from 0, as in a batch: what is stored as 0 is 255
        if highest >= len(vocab):
            raise T7Error(f"data.t7 holds character number {highest + 1}, vocab.t7 numbers {len(vocab)}")
    return dict(vocab), data


def text_to_tensor(
    in_textfile: str, out_vocabfile: str, out_tensorfile: str, say: Callable[[str], None] = print
) -> None:
    """Write the vocabulary and the numbered text of `in_textfile` as .t7 files that the Lua program reads.

    Errors: OSError.
    """
    say("loading text file...")
    say("creating vocabulary mapping...")
    characters, length = b"", 0
    for piece in _text_pieces(in_textfile):
        new = piece.translate(None, characters)  # deletes what is known: much faster than counting every byte
        if new:
            characters = bytes(sorted({*characters, *new}))
        length += len(piece)
    say("putting data into tensor...")
    storage = _NumberedText(in_textfile, characters, length)
    say(f"saving {out_vocabfile}")
    save_t7(out_vocabfile, {bytes([c]): number for number, c in enumerate(characters, 1)})
    say(f"saving {out_tensorfile}")
    save_t7(out_tensorfile, Tensor(b"torch.ByteTensor", storage, (len(storage),)))


def _text_pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as f:
        while piece := f.read(_PIECE):
            yield piece


class _NumberedText(Storage):
    """The storage of data.t7, translated from the text piece by piece while it is written."""

    def __init__(self, path: str, characters: bytes, length: int):
        super().__init__(b"torch.ByteStorage", np.empty(0, np.uint8))
        self._path, self._length = path, length
        self._numbers = bytearray(256)
        for number, character in enumerate(characters, 1):
            self._numbers[character] = number % 256  # a ByteTensor keeps 256 as 0

    def __len__(self) -> int:
        return self._length

    def blocks(self) -> Iterator[np.ndarray]:
        for piece in _text_pieces(self._path):
            yield np.frombuffer(piece.translate(self._numbers), np.uint8)
