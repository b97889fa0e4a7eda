"""The files that commands read: which kind a file is, and the text in it or in standard input."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
import re
from typing import TYPE_CHECKING

from pycharrnn.cli.console import note
from pycharrnn.common import folder_walk
from pycharrnn.common.errors import UserError
from pycharrnn.common.standard_streams import standard_input

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint

_EXAMINED_FILES = 100  # of a folder, for a hint
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
_ESCAPE, _ONLY_ESCAPES = re.compile(r"\\([nrt\\])"), re.compile(r"(\\[nrt])+")


def ask_for_text() -> None:
    """If standard input is a terminal, ask for a text. Errors: UserError if standard input is closed."""
    if standard_input().isatty():
        note(f"type or paste a text; {end_of_input()} at the start of a line ends it.")


def end_of_input() -> str:
    """The keys that end standard input at a terminal."""
    return "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D"


def read(file: str) -> bytes:
    """The bytes of a file, or of standard input for -. Errors: OSError; UserError if standard input is closed."""
    if file == "-":
        ask_for_text()
        return standard_input().read()
    with open(file, "rb") as f:
        return f.read()


def is_text(path: str) -> bool:
    """Whether a path is that of a text file; False also for a pipe, which is not opened, and for a missing file."""
    from compat import file_magic

    return file_magic.is_text(_start_of(path))


def is_checkpoint(path: str) -> bool:
    """Whether a path is that of a checkpoint; False also for a pipe, which is not opened, and for a missing file."""
    from pycharrnn.text import file_kinds

    if os.path.isfile(path):
        with contextlib.suppress(OSError):
            return file_kinds.is_checkpoint(path)
    return False


def is_folder_of_texts(path: str) -> bool:
    """Whether a path is that of a folder without a checkpoint, with a text among the first files below it."""
    from pycharrnn.checkpoints import folder_files

    if not os.path.isdir(path):
        return False
    try:
        folder_files.newest_first(path)
        return False
    except UserError:
        found = folder_walk.walk_files(
            path, lambda *_: None, lambda name: not name.startswith("."), lambda folder: True
        )
    with contextlib.suppress(OSError):
        return any(is_text(file) for file, _ in itertools.islice(found, _EXAMINED_FILES))
    return False


def is_plain_text(path: str) -> bool:
    """As is_text, but False for JSON and for a web page."""
    from compat import file_magic

    return file_magic.name_of(_start_of(path)) == file_magic.TEXT


def _start_of(path: str) -> bytes:
    from pycharrnn.checkpoints import formats

    if formats.of(path) is None and os.path.isfile(path):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            return f.read(4096)
    return b""


def read_text(file: str, loaded: Checkpoint | None, text_encoding: str) -> bytes:
    """A text for a model: what a training would read if the model is of texts that became UTF-8, else the bytes.

    Samples of a model of bytes may have broken characters, and stay as they are. Without a model, what a training would
    read.

    `text_encoding`: the value of -text_encoding. Errors: OSError; UserError, also for -text_encoding with other models.
    """
    from compat import file_magic
    from pycharrnn.checkpoints import checkpoint_facts  # here, since it loads NumPy
    from pycharrnn.text import file_kinds, source_files

    if loaded is None or checkpoint_facts.is_from_utf8(loaded):
        if file == "-":
            ask_for_text()
        of_model = b"".join(loaded.vocab) if loaded and checkpoint_facts.encoding(loaded) == "bytes" else b""
        return source_files.read(file, note, text_encoding, of_model)
    checkpoint_facts.text_encoding_for(loaded, text_encoding)
    content = read(file)
    if content and file_kinds.has_checkpoint_ending(file) and not file_magic.is_text(content):
        # By what was read: file_kinds.kind_of opens the file again, and a pipe would wait for another writer.
        is_cache = file_magic.is_cache(os.path.basename(file), content)
        raise UserError(
            file_kinds.refusal(file, file_kinds.CACHE) if is_cache else f"{file} is a checkpoint: name a text."
        )
    return content


def read_primetext(primetext: str, primefile: str, loaded: Checkpoint, text_encoding: str) -> bytes:
    """The text of -primefile without a byte order mark, or -primetext. Errors: as `read_text`.

    char-rnn replaces no escapes. Here they are replaced if the prompt has nothing else, or if the vocabulary lacks the
    backslash, with which char-rnn fails.
    """
    if primefile:
        return read_text(primefile, loaded, text_encoding).removeprefix(codecs.BOM_UTF8)
    if b"\\" not in loaded.vocab or _ONLY_ESCAPES.fullmatch(primetext):
        primetext = unescape(primetext)
    return os.fsencode(primetext)


def unescape(text: str) -> str:
    r"""Replace \n, \r, \t and \\ by newline, return, tab and backslash."""
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], text)
