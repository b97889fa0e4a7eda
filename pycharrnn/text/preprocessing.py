"""The cache beside input.txt: its characters, and the text as their numbers, in .t7 files.

Source: text_to_tensor of util/CharSplitLMMinibatchLoader.lua. Characters are bytes, in vocab.t7 and data.t7 that the
Lua program shares, or with -encoding utf8 code points, in vocab_utf8.t7 and data_utf8.t7. Whatever the text's size, it
goes through memory piece by piece.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator

import numpy as np

from compat import Storage, T7Error, Table, Tensor, TensorFile, load_t7, save_t7
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar

_PIECE = 1 << 22  # bytes of text held at a time
_UTF8_PIECE = 1 << 20  # each of which may need a dozen bytes while it is decoded
_CHECKED = 1 << 17  # numbers checked at a time: what fits in a processor's cache


class _Bytes:
    """Characters are bytes, numbers a ByteTensor, which holds 256 as 0."""

    vocab_name, data_name, kind = "vocab.t7", "data.t7", b"torch.Byte"

    @staticmethod
    def survey(path: str, advance: Callable[[int], None]) -> tuple[list[bytes], int]:
        """The distinct characters of a text by their bytes, and how many characters it has. Errors: OSError."""
        characters, length = b"", 0
        for piece in _pieces(path, _PIECE, advance):
            new = piece.translate(None, characters)  # deletes what is known: much faster than counting every byte
            if new:
                characters = bytes(sorted({*characters, *new}))
            length += len(piece)
        return [bytes([c]) for c in characters], length

    @staticmethod
    def numbered(path: str, characters: list[bytes], advance: Callable[[int], None]) -> Iterator[np.ndarray]:
        """The text as numbers of its characters, from 1, in pieces. Errors: OSError."""
        numbers = bytearray(256)
        for number, character in enumerate(characters, 1):
            numbers[character[0]] = number % 256
        for piece in _pieces(path, _PIECE, advance):
            yield np.frombuffer(piece.translate(numbers), np.uint8)

    @staticmethod
    def from_zero(numbers: np.ndarray) -> np.ndarray:
        """Numbers from 1 as numbers from 0: what is stored as 0 becomes 255."""
        return numbers - np.uint8(1)


class _Utf8:
    """Characters are code points, as the bytes of UTF-8; numbers an IntTensor."""

    vocab_name, data_name, kind = "vocab_utf8.t7", "data_utf8.t7", b"torch.Int"

    @staticmethod
    def survey(path: str, advance: Callable[[int], None]) -> tuple[list[bytes], int]:
        """As _Bytes.survey. Errors: UserError where the text is not UTF-8."""
        seen = np.zeros(0x110000, bool)
        length = 0
        for points in _code_points(path, advance):
            seen[points] = True
            length += len(points)
        return [chr(point).encode() for point in np.flatnonzero(seen)], length  # the order of their bytes as well

    @staticmethod
    def numbered(path: str, characters: list[bytes], advance: Callable[[int], None]) -> Iterator[np.ndarray]:
        """As _Bytes.numbered."""
        numbers = np.zeros(0x110000, np.int32)
        numbers[[ord(c.decode()) for c in characters]] = np.arange(1, len(characters) + 1)
        for points in _code_points(path, advance):
            yield numbers[points]

    @staticmethod
    def from_zero(numbers: np.ndarray) -> np.ndarray:
        """As _Bytes.from_zero."""
        return numbers - np.int32(1)


_ENCODINGS = {"bytes": _Bytes, "utf8": _Utf8}


def cached(
    data_dir: str, say: Callable[[str], None], progress: int = 0, encoding: str = "bytes"
) -> tuple[dict[bytes, int], TensorFile]:
    """The vocabulary of data_dir/input.txt and the text in its numbers, from the cache; made anew if missing, stale or
    foreign.

    Args:
        progress: whether to show bars, as for progress.enabled. encoding: "bytes" or "utf8".

    Returns: character -> number from 1, in the order of their bytes; the numbers, on disk, uint8 for bytes (256 is 0
        there), int32 for utf8.

    Errors: UserError.
    """
    names = _ENCODINGS[encoding].vocab_name, _ENCODINGS[encoding].data_name
    input_file, *cache = (os.path.join(data_dir, n) for n in ("input.txt", *names))
    size = _input_size(data_dir, input_file)
    either, both = " or ".join(names), " and ".join(names)
    there = [os.path.exists(f) for f in cache]
    if not all(there):
        missing = f"{both} do not exist" if not any(there) else f"{either} does not exist"
        say(f"{missing}. Running preprocessing...")
    elif any(os.stat(input_file).st_mtime_ns > os.stat(f).st_mtime_ns for f in cache):
        say(f"{either} detected as stale. Re-running preprocessing...")
    else:
        say("loading data files...")
        try:
            return _read(*cache, size, progress, encoding)
        except T7Error as e:
            say(f"{either} is not of this input.txt ({e}). Re-running preprocessing...")
    say(f"one-time setup: preprocessing input text file {input_file}...")
    try:
        text_to_tensor(input_file, *cache, say, progress, encoding)
    except OSError as e:
        raise UserError(f"can't write the cache {' and '.join(cache)}: {e.strerror or e}.") from e
    say("loading data files...")
    try:
        return _read(*cache, size, progress, encoding)
    except T7Error as e:
        raise UserError(f"{input_file} changed while it was read ({e}); start again.") from e


def text_to_tensor(
    in_textfile: str,
    out_vocabfile: str,
    out_tensorfile: str,
    say: Callable[[str], None] = print,
    progress: int = 0,
    encoding: str = "bytes",
) -> None:
    """Write the vocabulary and the numbered text of `in_textfile` as .t7 files; for bytes the Lua program reads them.

    Errors: OSError; UserError for a text that is not in `encoding`.
    """
    code = _ENCODINGS[encoding]
    say("loading text file...")
    say("creating vocabulary mapping...")
    size = os.path.getsize(in_textfile)
    with bar("reading", size, progress) as advance:
        characters, length = code.survey(in_textfile, advance)
    say("putting data into tensor...")
    say(f"saving {out_vocabfile}")
    save_t7(out_vocabfile, {c: number for number, c in enumerate(characters, 1)})
    say(f"saving {out_tensorfile}")
    with bar("numbering", size, progress) as advance:
        storage = _Streamed(code.kind, length, lambda: code.numbered(in_textfile, characters, advance))
        save_t7(out_tensorfile, Tensor(code.kind + b"Tensor", storage, (length,)))


def without(
    data_dir: str, numbers: TensorFile, vocab: dict[bytes, int], dropped: Collection[bytes], progress: int = 0
) -> TensorFile:
    """The numbered text less some of its characters, in a file beside the cache that is made if need be.

    The file is named for what is left out, data_without_0123456789ab.t7, and is one with the cache otherwise.

    Args:
        numbers, vocab: as `cached` gives them.

    Errors: UserError, also where nothing is left.
    """
    encoding = "bytes" if numbers.dtype == np.uint8 else "utf8"
    code = _ENCODINGS[encoding]
    what = hashlib.sha256(repr(sorted(dropped)).encode()).hexdigest()[:12]
    source = os.path.join(data_dir, code.data_name)
    path = f"{source.removesuffix('.t7')}_without_{what}.t7"
    left_out = np.zeros(max(256, len(vocab) + 1), bool)  # by the numbers as they are stored
    left_out[[vocab[c] % 256 if code is _Bytes else vocab[c] for c in dropped]] = True

    def kept(advance: Callable[[int], None]) -> Iterator[np.ndarray]:
        for start in range(0, len(numbers), _PIECE):
            part = numbers.read(start, min(start + _PIECE, len(numbers)))
            yield part[~left_out[part]]
            advance(len(part))

    with contextlib.suppress(OSError, T7Error):
        if os.stat(path).st_mtime_ns >= os.stat(source).st_mtime_ns:
            return _numbers(path, len(vocab), encoding)
    with bar("leaving out", 2 * len(numbers), progress) as advance:
        try:
            length = sum(map(len, kept(advance)))
            if not length:
                raise UserError(f"{data_dir}/input.txt holds none of the characters that the checkpoint knows.")
            storage = _Streamed(code.kind, length, lambda: kept(advance))
            save_t7(path, Tensor(code.kind + b"Tensor", storage, (length,)))
            return _numbers(path, len(vocab), encoding)
        except T7Error as e:
            raise UserError(f"can't leave characters out of {source} ({e}): start again.") from e
        except OSError as e:
            raise UserError(f"can't write {path}: {e.strerror or e}.") from e


def from_zero(numbers: np.ndarray, vocab_size: int) -> np.ndarray:
    """Numbers from 1, as in the cache, as numbers from 0 of the same type.

    Errors: T7Error for a number that the vocabulary has not.
    """
    numbers = (_Bytes if numbers.dtype == np.uint8 else _Utf8).from_zero(numbers)
    unsigned = numbers.view(f"u{numbers.itemsize}")  # so that what is negative is large as well
    if len(numbers) and int(unsigned.max()) >= vocab_size:
        wrong = int(numbers[unsigned.argmax()]) + 1
        raise T7Error(f"it holds character number {wrong}, the vocabulary numbers {vocab_size}")
    return numbers


# -- reading and writing ----------------------------------------------------------------------------------------------


def _input_size(data_dir: str, input_file: str) -> int:
    if os.path.isfile(data_dir):
        raise UserError(f"-data_dir {data_dir} is a file: put it into a folder as input.txt, and name the folder.")
    if not os.path.isdir(data_dir):
        raise UserError(f"there is no folder {data_dir}: make it, with your text in {input_file}, or mend -data_dir.")
    try:
        with open(input_file, "rb") as f:
            size = os.fstat(f.fileno()).st_size
    except FileNotFoundError:
        raise UserError(f"{data_dir} has no input.txt: put your text into {input_file}, or mend -data_dir.") from None
    except OSError as e:
        raise UserError(f"can't read {input_file}: {e.strerror or e}.") from e
    if size == 0:
        raise UserError(f"{input_file} is empty: put your text into it.")
    return size


def _read(
    vocab_file: str, tensor_file: str, size: int, progress: int, encoding: str
) -> tuple[dict[bytes, int], TensorFile]:
    """Errors: T7Error if the files are not what text_to_tensor makes of a text of `size` bytes."""
    vocab = load_t7(vocab_file)
    name = os.path.basename(vocab_file)
    if not isinstance(vocab, Table) or not all(isinstance(c, bytes) and _is_character(c, encoding) for c in vocab):
        raise T7Error(f"{name} holds no characters")
    characters = [c for c, _ in sorted(vocab.items())]
    if [vocab[c] for c in characters] != list(range(1, len(vocab) + 1)):
        raise T7Error(f"the characters of {name} are not numbered in order")
    lengths = np.array([len(c) for c in characters])
    return dict(vocab), _numbers(tensor_file, len(vocab), encoding, progress, lengths, size)


def _is_character(character: bytes, encoding: str) -> bool:
    if encoding == "bytes":
        return len(character) == 1
    try:
        return len(character.decode()) == 1
    except UnicodeDecodeError:
        return False


def _numbers(
    path: str,
    vocab_size: int,
    encoding: str,
    progress: int = 0,
    lengths: np.ndarray | None = None,
    size: int | None = None,
) -> TensorFile:
    """A .t7 file, if it holds a text in numbers from 1 to vocab_size.

    Args:
        lengths: bytes of each character, shape (vocab_size,). size: bytes of the whole text; None: any.

    Errors: T7Error.
    """
    kind = _ENCODINGS[encoding].kind
    try:
        numbers, held = TensorFile(path), 0
        if numbers.typename != kind + b"Tensor":
            raise T7Error("it holds no numbered text")
        if encoding == "bytes" and size not in (None, len(numbers)):
            raise T7Error(f"it does not hold {size} characters")
        with bar(f"checking {os.path.basename(path)}", len(numbers), progress) as advance:
            for start in range(0, len(numbers), _CHECKED):
                part = from_zero(numbers.read(start, min(start + _CHECKED, len(numbers))), vocab_size)
                if encoding != "bytes" and size is not None:
                    held += int(lengths[part].sum())
                advance(len(part))
        if encoding != "bytes" and size not in (None, held):
            raise T7Error(f"it holds {held} bytes of text, not {size}")
    except T7Error as e:
        raise T7Error(f"{os.path.basename(path)}: {e}") from e
    return numbers


def _pieces(path: str, size: int, advance: Callable[[int], None]) -> Iterator[bytes]:
    with open(path, "rb") as f:
        while piece := f.read(size):
            yield piece
            advance(len(piece))


def _code_points(path: str, advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    """The code points of a text, uint32, in pieces; one whose bytes lie in two pieces comes with the second.

    Errors: OSError; UserError with the offset of the first byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0  # of the first byte that is not decoded yet
    pieces = _pieces(path, _UTF8_PIECE, advance)
    while True:
        piece = next(pieces, b"")
        waiting = len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as e:
            raise UserError(
                f"{path} is not UTF-8 at offset {offset + e.start} (byte 0x{e.object[e.start]:02x}): convert it, or use"
                " -encoding bytes."
            ) from None
        if not piece:
            return
        offset += waiting + len(piece) - len(decoder.getstate()[0])
        yield np.frombuffer(text.encode("utf-32-le"), "<u4")


class _Streamed(Storage):
    """A storage that is made piece by piece while it is written."""

    def __init__(self, kind: bytes, length: int, make: Callable[[], Iterator[np.ndarray]]):
        super().__init__(kind + b"Storage", np.empty(0))
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    def blocks(self) -> Iterator[np.ndarray]:
        return self._make()
