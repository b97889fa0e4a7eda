"""Makes the cache of input.txt, vocabulary and token ids, where it is missing, out of date or damaged.

Source: the beginning of util/CharSplitLMMinibatchLoader.lua and its text_to_tensor.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import T7Error, TensorFile, file_magic
from pycharrnn.common import output_folder, regular_files
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.progress import bar
from pycharrnn.text import cache_files, cache_record
from pycharrnn.text.encodings import BYTES, UTF8, Encoding, InvalidUtf8, encoding_of_dtype
from pycharrnn.text.file_pieces import file_pieces
from pycharrnn.text.text_folder import input_file
from pycharrnn.text.text_stats import TextStats, text_stats

if TYPE_CHECKING:
    from pycharrnn.text.encodings import TokenIds

_BLOCK = 1 << 22  # ids in memory at a time


def cached(
    data_dir: str,
    say: PrintLine,
    progress: int = 0,
    encoding: Encoding = BYTES,
    stats: TextStats | None = None,
) -> tuple[dict[bytes, int], TensorFile]:
    """The vocabulary and the token ids of data_dir/input.txt, from the cache beside it. Errors: UserError.

    .cache.json records the text that the cache was made of; a cache without record, such as the Lua program's, is
    compared with input.txt, unless it is older. `say` prints the original's messages. `stats`: of the text, if known.

    Returns: character -> id from 1, in the order of the characters' bytes; the stored ids, on disk, uint8 for bytes
        (which store 256 as 0), int32 for utf8.
    """
    names = encoding.vocab_name, encoding.data_name
    in_textfile = input_file(data_dir)
    cache = [os.path.join(data_dir, name) for name in names]
    if stats is None:
        stats = text_stats(data_dir, progress)
    made_of = cache_record.load(data_dir).made_of(data_dir, *names)
    made = made_of == stats.fingerprint

    def load() -> tuple[dict[bytes, int], TensorFile]:
        say("loading data files...")
        vocab = cache_files.load_vocabulary(cache[0], encoding)
        return vocab, cache_files.load_text(cache[1], encoding, vocab, None if made else in_textfile, progress)

    loaded = None
    fault = _fault_of_cache(in_textfile, cache, made_of, made)
    if not fault:
        try:
            loaded = load()
        except T7Error as e:
            reason = str(e).removesuffix(f": {file_magic.NAME_A_CHECKPOINT}")
            fault = f"{' or '.join(names)} is not of this input.txt ({reason}). Re-running preprocessing..."
    if not loaded:
        say(fault)
        say(f"one-time setup: preprocessing input text file {in_textfile}...")
        try:
            _encode(in_textfile, cache[0], cache[1], stats, say, progress, encoding)
        except OSError as e:
            raise not_written(f"the cache {cache[0]} and {cache[1]}", e) from e
        made = True
        try:
            loaded = load()
        except T7Error as e:
            raise UserError(f"{in_textfile} changed while it was read ({e}); start again.") from e
    record = cache_record.load(data_dir)  # others may have added to it meanwhile
    record.add_cache(data_dir, stats.fingerprint, *names)
    if stats.state and cache_record.is_settled(stats.state):
        record.text, record.stats = stats.state, stats.fields()
    record.save(data_dir)
    return loaded


def not_written(what: str, error: OSError) -> UserError:
    """The error for what could not be written beside an input.txt."""
    if isinstance(error, regular_files.NotRegularError):
        return UserError(f"can't write {escape_line(error.filename)}: {error.strerror}.")
    fault = f"can't write {what} ({error.strerror or error})"
    if output_folder.is_disk_full(error):
        return UserError(fault, "make room on the disk")
    advice = f"copy input.txt to a folder that can be written, and name that with {flag('data_dir')}"
    return UserError(fault, advice, ["data_dir"])


def _encode(
    in_textfile: str,
    out_vocabfile: str,
    out_tensorfile: str,
    stats: TextStats,
    say: PrintLine,
    progress: int,
    encoding: Encoding,
) -> None:
    if encoding is UTF8 and stats.invalid_at is not None:
        raise UserError(
            f"{in_textfile} is not UTF-8 at offset {stats.invalid_at}{_byte_at(in_textfile, stats.invalid_at)}",
            f"convert it, or use {flag('encoding', 'bytes')}",
            ["encoding"],
        )
    say("loading text file...")
    say("creating vocabulary mapping...")
    characters = stats.characters(encoding.name)
    say("putting data into tensor...")
    say(f"saving {out_vocabfile}")
    cache_files.save_vocabulary(out_vocabfile, characters)
    say(f"saving {out_tensorfile}")
    with bar("encoding", stats.size, progress) as advance:
        try:
            cache_files.save_text(
                out_tensorfile,
                encoding,
                stats.length(encoding.name),
                lambda: encoding.encode(file_pieces(in_textfile, advance), characters),
            )
        except InvalidUtf8 as e:
            raise UserError(f"{in_textfile} changed while it was read ({e}); start again.") from e
    if stats.state != cache_record.file_state(in_textfile):
        raise UserError(f"{in_textfile} changed while it was read; start again.")


def without_characters(
    data_dir: str, text: TensorFile, vocab: dict[bytes, int], left_out: Collection[bytes], progress: int = 0
) -> TensorFile:
    """The text without some characters, in data_without_<their hash>.t7; the other characters keep their ids.

    `text`, `vocab`: as `cached` returns them. Errors: UserError, also if no character is left.
    """
    encoding = encoding_of_dtype(text.dtype)
    hash_of_left_out = hashlib.sha256(repr(sorted(left_out)).encode()).hexdigest()[:12]
    name = f"{encoding.data_name.removesuffix('.t7')}_without_{hash_of_left_out}.t7"
    path = os.path.join(data_dir, name)
    is_left_out = np.zeros(max(256, len(vocab) + 1), bool)  # by stored id
    is_left_out[[encoding.stored_id(vocab[c]) for c in left_out]] = True

    def remaining(advance: Callable[[int], None]) -> Iterator[TokenIds]:
        for block in text.blocks(_BLOCK):
            yield block[~is_left_out[block]]
            advance(len(block))

    record = cache_record.load(data_dir)
    made_of = record.made_of(data_dir, encoding.data_name)
    if made_of and record.made_of(data_dir, name) == made_of:
        with contextlib.suppress(OSError, T7Error):
            return cache_files.load_text(path, encoding, vocab)
    with bar("leaving out", 2 * len(text), progress) as advance:
        try:
            length = sum(map(len, remaining(advance)))
            if not length:
                raise UserError(f"{data_dir}/input.txt holds none of the checkpoint's characters.")
            cache_files.save_text(path, encoding, length, lambda: remaining(advance))
            less = cache_files.load_text(path, encoding, vocab)
        except T7Error as e:
            raise UserError(f"can't leave characters out of {text.path} ({e}): start again.") from e
        except OSError as e:
            raise not_written(path, e) from e
    if made_of:
        cache_record.add(data_dir, made_of, name)
    return less


def _fault_of_cache(in_textfile: str, cache: Collection[str], made_of: str | None, made: bool) -> str:
    """Why the cache can't be used, in the original's words; "" if it can, or if its content must be compared."""
    names = [os.path.basename(f) for f in cache]
    exist = [os.path.exists(f) for f in cache]
    if not any(exist):
        return f"{' and '.join(names)} do not exist. Running preprocessing..."
    if not all(exist):
        return f"{' or '.join(names)} does not exist. Running preprocessing..."
    is_older = any(os.stat(in_textfile).st_mtime_ns > os.stat(f).st_mtime_ns for f in cache)
    if is_older if made_of is None else not made:
        return f"{' or '.join(names)} detected as stale. Re-running preprocessing..."
    return ""


def _byte_at(path: str, offset: int) -> str:
    """The byte at an offset, for a message: " (byte 0xff)"."""
    with open(path, "rb") as f:
        f.seek(offset)
        return f" (byte 0x{f.read(1).hex()})"
