"""What kind of text input.txt is: whether there is one, how long it is, and in which encoding it is best read."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass

from pycharrnn.common import shell_words
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar

_PIECE = 1 << 20  # bytes in memory at a time
_CONTINUATION = bytes(range(0x80, 0xC0))  # bytes that go on with a character of UTF-8
_ONE_BYTE = bytes(range(0xC0))  # and those that are a character, which leaves the beginnings of longer ones


@dataclass(frozen=True)
class TextStats:
    """A text in numbers.

    Attributes:
        size: its bytes.
        code_points: its code points where it is UTF-8; None where it is not.
        multibyte: how many of these are written in several bytes.
    """

    size: int
    code_points: int | None
    multibyte: int = 0

    @property
    def encoding(self) -> str:
        """The -encoding that suits it: utf8 where most characters would be several with bytes."""
        return "utf8" if self.code_points is not None and 2 * self.multibyte > self.code_points else "bytes"

    def length(self, encoding: str) -> int:
        """Its characters with this -encoding."""
        return self.code_points if encoding == "utf8" and self.code_points is not None else self.size


def text_stats(data_dir: str, progress: int = 0) -> TextStats:
    """Read data_dir/input.txt once, piece by piece.

    Args:
        progress: whether to show a bar, as for common.progress.enabled.

    Errors: UserError.
    """
    path = os.path.join(data_dir, "input.txt")
    decoder = codecs.getincrementaldecoder("utf-8")()
    size, code_points, multibyte = 0, 0, 0
    is_utf8 = True
    expected = input_size(data_dir)
    try:
        with open(path, "rb") as f, bar("surveying", expected, progress) as advance:
            while piece := f.read(_PIECE):
                size += len(piece)
                code_points += len(piece.translate(None, _CONTINUATION))
                multibyte += len(piece.translate(None, _ONE_BYTE))
                is_utf8 = is_utf8 and _goes_on(decoder, piece)
                advance(len(piece))
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e
    if is_utf8 and _goes_on(decoder, b"", final=True):
        return TextStats(size, code_points, multibyte)
    return TextStats(size, None)


def input_size(data_dir: str) -> int:
    """Bytes of data_dir/input.txt. Errors: UserError where there is no text, with where to get one."""
    path = os.path.join(data_dir, "input.txt")
    name = shell_words.quoted(data_dir)
    if os.path.isfile(data_dir):
        raise UserError(f"-data_dir {data_dir} is a file, not a folder: pycharrnn train {name} trains on it.")
    if not os.path.isdir(data_dir):
        raise UserError(
            f"there is no folder {data_dir}: pycharrnn train FILE makes one of your text, pycharrnn data NAME of pydoc,"
            " tinyshakespeare or ulysses."
        )
    try:
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
    except FileNotFoundError:
        raise UserError(
            f"{data_dir} has no input.txt: put your text there, or train on the texts in it by pycharrnn train {name}."
        ) from None
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e
    if size == 0:
        raise UserError(f"{path} is empty: put your text into it.")
    return size


def _goes_on(decoder: codecs.IncrementalDecoder, piece: bytes, final: bool = False) -> bool:
    """Whether a text is still UTF-8 with its next piece."""
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True
