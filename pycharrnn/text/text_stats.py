"""Size, characters and fingerprint of input.txt, all from one pass over it, for training and the cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from pycharrnn.common import shell_words
from pycharrnn.common.display import plural
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.common.progress import bar
from pycharrnn.text import cache_record, cached_text, file_kinds
from pycharrnn.text.cache_record import FileState
from pycharrnn.text.encodings import CODE_POINTS, InvalidUtf8, Utf8Decoder, code_points
from pycharrnn.text.file_pieces import file_pieces
from pycharrnn.text.fingerprint import TextHash, fingerprint_of_blocks
from pycharrnn.text.text_folder import input_file

_ASCII = bytes(range(0x80))


@dataclass(frozen=True)
class TextStats:
    """The statistics of a text.

    Attributes:
        size: bytes. code_points: their number; None for invalid UTF-8. multibyte: number of those with several bytes.
        fingerprint: size and SHA-256; "" for a text of more than 1 GiB that is not in a file yet.
        byte_values, code_point_values: the distinct ones, sorted; no code points for invalid UTF-8.
        invalid_at: offset of the first invalid byte; None for valid UTF-8.
        state: of the file before it was read; None for a text that is not in a file yet.
    """

    size: int
    code_points: int | None
    multibyte: int = 0
    fingerprint: str = ""
    byte_values: tuple[int, ...] = ()
    code_point_values: tuple[int, ...] = ()
    invalid_at: int | None = None
    state: FileState | None = None

    @property
    def encoding(self) -> str:
        """The -encoding that suits the text: utf8 where most characters have several bytes."""
        return "utf8" if self.code_points is not None and 2 * self.multibyte > self.code_points else "bytes"

    @property
    def is_often_multibyte(self) -> bool:
        """Whether one in twenty characters or more has several bytes."""
        return self.code_points is not None and 0 < self.code_points <= 20 * self.multibyte

    def length(self, encoding: str) -> int:
        """The number of characters with this -encoding."""
        return self.code_points if encoding == "utf8" and self.code_points is not None else self.size

    def length_in_words(self, encoding: str) -> str:
        """The same with its unit: bytes where some characters have several, else characters."""
        length, unit = self.length(encoding), "byte" if encoding == "bytes" and self.multibyte else "character"
        return f"{length:,} {plural(length, unit)}"

    def characters(self, encoding: str) -> list[bytes]:
        """The distinct characters with this -encoding, in the order of their bytes."""
        if encoding == "utf8":
            return [chr(point).encode() for point in self.code_point_values]
        return [bytes([value]) for value in self.byte_values]

    def fields(self) -> dict[str, Any]:
        """The attributes without `state`, as JSON values."""
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        del found["state"]
        return found


def text_stats(data_dir: str, progress: int = 0) -> TextStats:
    """The statistics of data_dir/input.txt, from .cache.json or else from one pass over the text. Errors: UserError."""
    path = input_file(data_dir)
    size = input_size(data_dir)
    record = cache_record.load(data_dir)
    if record.text is not None and record.text == cache_record.file_state(path):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return stats_of_fields(record.stats, record.text)
    return stats_of_file(path, size, progress)


def stats_of_fields(fields: dict[str, Any], state: FileState | None = None) -> TextStats:
    """The inverse of TextStats.fields. Errors: TypeError, ValueError, OverflowError for invalid fields or values."""
    found: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    stats = TextStats(**found, state=state)
    if not isinstance(stats.fingerprint, str) or not _are_possible(stats):
        raise TypeError("other values")
    bytes(stats.byte_values), stats.characters("utf8")
    return stats


def _are_possible(stats: TextStats) -> bool:
    """Whether the numbers may be those of a text, of the size in `state` if that is known."""
    size = stats.size if stats.state is None else stats.state[0]
    either = stats.invalid_at if stats.code_points is None else stats.code_points
    return (
        all(type(n) is int and 0 <= n <= size for n in (stats.size, stats.multibyte, either))
        and stats.size == size
        and None in (stats.code_points, stats.invalid_at)
        and all(isinstance(values, tuple) for values in (stats.byte_values, stats.code_point_values))
    )


def stats_of_file(path: str, size: int, progress: int = 0) -> TextStats:
    """As text_stats, for any file of `size` bytes. Errors: UserError."""
    state = cache_record.file_state(path)
    try:
        with bar("reading", size, progress) as advance:
            stats = stats_of(file_pieces(path, advance))
        fingerprint = stats.fingerprint or fingerprint_of_blocks(path)
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e
    return replace(stats, fingerprint=fingerprint, state=state)


def stats_of(pieces: Iterable[bytes]) -> TextStats:
    """The statistics of a text in pieces."""
    text_hash, decoder, multibyte_decoder = TextHash(), Utf8Decoder(), Utf8Decoder()
    seen = np.zeros(CODE_POINTS, bool)
    byte_values = b""
    size, characters, multibyte, invalid_at = 0, 0, 0, None
    for piece in chain(pieces, (b"",)):  # the empty piece ends the text
        text_hash.update(piece)
        size += len(piece)
        # Removing the bytes already seen is faster than counting every byte.
        byte_values += bytes({*piece.translate(None, byte_values)})
        if invalid_at is None:
            try:
                characters += len(decoder.decode(piece, final=not piece))
                points = code_points(multibyte_decoder.decode(piece.translate(None, _ASCII)))
            except InvalidUtf8 as e:
                invalid_at = e.offset
            else:
                seen[points] = True
                multibyte += len(points)
    is_utf8 = invalid_at is None
    return TextStats(
        size,
        characters if is_utf8 else None,
        multibyte if is_utf8 else 0,
        text_hash.fingerprint(),
        tuple(sorted(byte_values)),
        (*(b for b in sorted(byte_values) if b < 0x80), *np.flatnonzero(seen).tolist()) if is_utf8 else (),
        invalid_at,
    )


def _training_on(path: str) -> str:
    """The command, or for a program the call, that trains on the text of a file or folder."""
    command = shell_words.joined(["pycharrnn", "train", shell_words.operand(path)])
    return wordings(command, f"pycharrnn.train({path!r})")


def _file_in_words(path: str) -> str:
    """What a file in the place of a text's folder is, and what to do."""
    from pycharrnn.text import source_files  # here, since it loads decoders, which a folder does without

    found: object = None
    with contextlib.suppress(OSError):
        found = source_files.source_file(path, path, os.path.getsize(path))
    if isinstance(found, file_kinds.Kind):
        return f"{found.name}, not a folder: {found.way_out}"
    if found is None:
        return "a file without text, not a folder: name a folder that has an input.txt"
    return f"a file, not a folder: put it into one as input.txt, or train a new model with {_training_on(path)}"


def input_size(data_dir: str) -> int:
    """Bytes of data_dir/input.txt. Errors: UserError for a missing text, with advice on where to get one."""
    path = input_file(data_dir)
    if os.path.isfile(data_dir):
        raise UserError(f"{flag('data_dir', data_dir)} is {_file_in_words(data_dir)}.")
    if not os.path.isdir(data_dir):
        raise UserError(
            f"there is no folder {data_dir or shell_words.quoted('')}: train on a file of yours with"
            f" {wordings('pycharrnn train FILE', 'pycharrnn.train(FILE)')}, or get a text with pycharrnn data pydoc"
            " (or tinyshakespeare, or ulysses)."
        )
    try:
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
    except FileNotFoundError:
        # The folder stands within the sentence: before its full stop, "." would read "..".
        advice = f"put your text there; {_training_on(data_dir)} trains on the texts in it"
        raise UserError(f"{data_dir} has no input.txt: {cached_text.remedy(data_dir) or advice}.") from None
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e
    if size == 0:
        raise UserError(f"{path} is empty: put your text into it.")
    return size
