"""From input.txt to its cache: the vocabulary and the numbered text, made where they are missing, old or damaged.

Source: the beginning of util/CharSplitLMMinibatchLoader.lua and its text_to_tensor. Whatever the text's size, it goes
through memory piece by piece.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import T7Error, TensorFile
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar
from pycharrnn.text import cache_files, encodings
from pycharrnn.text.text_stats import input_size

if TYPE_CHECKING:
    from pycharrnn.text.encodings import Numbers

_PIECE = 1 << 22  # numbers in memory at a time


def cached(
    data_dir: str, say: Callable[[str], None], progress: int = 0, encoding: str = "bytes"
) -> tuple[dict[bytes, int], TensorFile]:
    """The vocabulary of data_dir/input.txt and the text in its numbers, from the cache beside it.

    The cache is made anew where it is missing, older than the text, damaged or of another text.

    Args:
        say: takes the original's messages, line by line.
        progress: whether to show bars, as for common.progress.enabled.
        encoding: "bytes" or "utf8".

    Returns: character -> number from 1, in the order of the characters' bytes; the numbers, on disk, uint8 for bytes
        (which store 256 as 0), int32 for utf8.

    Errors: UserError.
    """
    code = encodings.ENCODINGS[encoding]
    input_file, vocab_file, data_file = (
        os.path.join(data_dir, name) for name in ("input.txt", code.vocab_name, code.data_name)
    )
    size = input_size(data_dir)

    def load() -> tuple[dict[bytes, int], TensorFile]:
        say("loading data files...")
        vocab = cache_files.load_vocabulary(vocab_file, code)
        return vocab, cache_files.load_text(data_file, code, vocab, size, progress)

    fault = _fault_of_cache(input_file, vocab_file, data_file)
    if not fault:
        try:
            return load()
        except T7Error as e:
            fault = f"{code.vocab_name} or {code.data_name} is not of this input.txt ({e}). Re-running preprocessing..."
    say(fault)
    say(f"one-time setup: preprocessing input text file {input_file}...")
    try:
        text_to_tensor(input_file, vocab_file, data_file, say, progress, encoding)
    except OSError as e:
        raise UserError(f"can't write the cache {vocab_file} and {data_file}: {e.strerror or e}.") from e
    try:
        return load()
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

    Args:
        say, progress, encoding: as for cached.

    Errors: OSError; UserError for a text that is not in `encoding`.
    """
    code = encodings.ENCODINGS[encoding]
    say("loading text file...")
    say("creating vocabulary mapping...")
    size = os.path.getsize(in_textfile)
    with bar("reading", size, progress) as advance:
        characters, length = code.survey(in_textfile, advance)
    say("putting data into tensor...")
    say(f"saving {out_vocabfile}")
    cache_files.save_vocabulary(out_vocabfile, characters)
    say(f"saving {out_tensorfile}")
    with bar("numbering", size, progress) as advance:
        cache_files.save_text(out_tensorfile, code, length, lambda: code.numbered(in_textfile, characters, advance))


def without_characters(
    data_dir: str, text: TensorFile, vocab: dict[bytes, int], left_out: Collection[bytes], progress: int = 0
) -> TensorFile:
    """The text less all occurrences of some characters; the others keep their numbers.

    It lies in a file beside the cache, which is made if it is missing, older than the cache, or damaged. Its name has
    a hash of what is left out: data_without_0123456789ab.t7.

    Args:
        text, vocab: as `cached` gives them.
        left_out: characters of `vocab`.
        progress: as for cached.

    Errors: UserError, also where nothing is left.
    """
    code = encodings.of_numbers(text.dtype)
    hash_of_left_out = hashlib.sha256(repr(sorted(left_out)).encode()).hexdigest()[:12]
    source = os.path.join(data_dir, code.data_name)
    path = f"{source.removesuffix('.t7')}_without_{hash_of_left_out}.t7"
    is_left_out = np.zeros(max(256, len(vocab) + 1), bool)  # by the numbers as they are stored
    is_left_out[[code.stored(vocab[c]) for c in left_out]] = True

    def remaining(advance: Callable[[int], None]) -> Iterator[Numbers]:
        for start in range(0, len(text), _PIECE):
            part = text.read(start, min(start + _PIECE, len(text)))
            yield part[~is_left_out[part]]
            advance(len(part))

    with contextlib.suppress(OSError, T7Error):
        if os.stat(path).st_mtime_ns >= os.stat(source).st_mtime_ns:
            return cache_files.load_text(path, code, vocab)
    with bar("leaving out", 2 * len(text), progress) as advance:
        try:
            length = sum(map(len, remaining(advance)))
            if not length:
                raise UserError(f"{data_dir}/input.txt holds none of the characters that the checkpoint knows.")
            cache_files.save_text(path, code, length, lambda: remaining(advance))
            return cache_files.load_text(path, code, vocab)
        except T7Error as e:
            raise UserError(f"can't leave characters out of {source} ({e}): start again.") from e
        except OSError as e:
            raise UserError(f"can't write {path}: {e.strerror or e}.") from e


def _fault_of_cache(input_file: str, *cache: str) -> str:
    """Why the cache can't be used as it is, as the original says it; "" if its files are there and no older than the
    text. They may still hold something else."""
    names = [os.path.basename(f) for f in cache]
    there = [os.path.exists(f) for f in cache]
    if not any(there):
        return f"{' and '.join(names)} do not exist. Running preprocessing..."
    if not all(there):
        return f"{' or '.join(names)} does not exist. Running preprocessing..."
    if any(os.stat(input_file).st_mtime_ns > os.stat(f).st_mtime_ns for f in cache):
        return f"{' or '.join(names)} detected as stale. Re-running preprocessing..."
    return ""
