"""Reads a text back from the cache that was made of it, vocab.t7 and data.t7, if its input.txt is lost.

Many folders of char-rnn's texts were kept without input.txt; train.lua needs that file, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from compat import T7Error
from compat.atomic_write import atomic_write
from compat.t7_objects import DamagedT7Error
from pycharrnn.common import shell_words
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.text import cache_files
from pycharrnn.text.encodings import ENCODINGS, Encoding, token_ids
from pycharrnn.text.text_folder import input_file

_BLOCK = 1 << 20  # ids in memory at a time


def remedy(folder: str) -> str:
    """How to write the lost input.txt of a folder, for the end of a message; "" without a cache in it."""
    for encoding in ENCODINGS.values():
        vocab, data = (os.path.join(folder, name) for name in (encoding.vocab_name, encoding.data_name))
        if os.path.isfile(vocab) and os.path.isfile(data):
            words = map(shell_words.operand, (data, input_file(folder)))
            return f"{shell_words.joined(['pycharrnn', 'convert', *words])} writes it from char-rnn's cache"
    return ""


def encoding_of_data_file(path: str) -> Encoding | None:
    """The encoding whose file of token ids has the name of `path`, data.t7 or data_utf8.t7; None for other names."""
    return next((encoding for encoding in ENCODINGS.values() if os.path.basename(path) == encoding.data_name), None)


def write(data_file: str, encoding: Encoding, target: str) -> None:
    """Write the text of a cache, byte for byte.

    Errors: OSError; UserError for a cache that is damaged or lacks one of its two files.
    """
    for file in (data_file, os.path.join(os.path.dirname(data_file), encoding.vocab_name)):
        if not os.path.isfile(file):  # a pipe, too, on which reading would wait
            both = f"{encoding.vocab_name} and {encoding.data_name}"
            raise UserError(f"{escape_line(file)} is not a file: the text is in {both} together, in one folder.")
    try:
        with atomic_write(target) as f:
            for piece in _pieces(data_file, encoding):
                f.write(piece)
    except T7Error as e:
        way_out = "; use another copy of the file" if isinstance(e, DamagedT7Error) else ""
        raise UserError(f"can't read the text of {data_file}: {e}{way_out}.") from e


def _pieces(data_file: str, encoding: Encoding) -> Iterator[bytes]:
    """Errors: OSError; T7Error, after the last piece too, for files of different texts."""
    vocab = cache_files.load_vocabulary(os.path.join(os.path.dirname(data_file), encoding.vocab_name), encoding)
    text = cache_files.load_text(data_file, encoding, vocab)
    characters, occurs = sorted(vocab), np.zeros(len(vocab), bool)
    try:
        for block in text.blocks(_BLOCK):
            ids = token_ids(block, len(vocab))
            occurs[ids] = True
            yield encoding.decode(ids, characters)
    finally:
        text.close()
    if not occurs.all():  # a vocabulary holds the characters of its text
        raise T7Error(
            f"{encoding.vocab_name} has {len(vocab)} characters and {encoding.data_name} only {int(occurs.sum())} of"
            " them, so they are of different texts: give both files of one text"
        )
