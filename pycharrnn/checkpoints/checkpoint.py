"""Loads and converts checkpoint files in all formats, as NumPy arrays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from compat import charrnn, file_magic
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.t7_objects import DamagedT7Error
from pycharrnn.checkpoints import formats, metadata, names
from pycharrnn.common import output_folder, shell_words
from pycharrnn.common.display import escape_line, plural, replace_surrogates, series
from pycharrnn.common.errors import UserError, wordings

_START = 16  # bytes at the start of a file that tell its format
_SHORT = 1000  # bytes: a shorter text is no text to train on, but rather a server's answer
_MOST_SHOWN = 40  # characters of it


def load(path: str | os.PathLike[str]) -> charrnn.Checkpoint:
    """The checkpoint at `path`, of char-rnn, torch-rnn or `convert`; only .pt files need PyTorch. Errors: UserError."""
    with reading(path):
        return format_of(path).functions().load(path)


def format_of(path: str | os.PathLike[str]) -> formats.Format:
    """The format in which to read a file: that of its ending, but T7 for other endings and for renamed .t7 files."""
    return formats.T7 if file_magic.is_t7(_start(path)) else formats.of(path) or formats.T7


def _start(path: str | os.PathLike[str], size: int = _START) -> bytes:
    """The first `size` bytes of a file; none of a pipe, on which this would wait, and of what can't be read."""
    if os.path.isfile(path):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            return f.read(size)
    return b""


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of reading a checkpoint into a UserError with its path."""
    try:
        yield
    except FileNotFoundError:
        if os.path.islink(path):
            target = escape_line(replace_surrogates(os.readlink(os.fspath(path))))
            raise UserError(f"File {path} is a link to {target}, which does not exist: name another file.") from None
        in_cv = os.path.normpath(os.path.join("cv", os.fspath(path)))
        if near := in_cv if os.path.isfile(in_cv) else names.near(os.fspath(path)):
            raise UserError(f"File {path} does not exist; did you mean {near}?") from None
        if not os.path.splitext(path)[1]:
            train = wordings("`pycharrnn train my_text.txt`", "pycharrnn.train('my_text.txt')")
            way_out = f"train a model first, as by {train}, or name a checkpoint"
            raise UserError(f"{os.fspath(path)} does not exist: {way_out}.") from None
        if os.path.dirname(path) or not os.fspath(path).endswith(".t7"):
            raise UserError(f"File {path} does not exist: name one that exists, or a folder of checkpoints.") from None
        raise UserError(f"File {path} does not exist. Are you sure you didn't forget to prepend cv/ ?") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name one of the checkpoints in it.") from None
    except (OSError, CheckpointError) as e:
        if isinstance(e, CheckpointError) and (of_cache := why_no_checkpoint(path)):
            raise UserError(of_cache) from None
        reason = getattr(e, "strerror", None) or str(e)
        if reason == f"it is {file_magic.TEXT}":
            reason = _saved_answer(path) or reason
        damaged = isinstance(e, (DamagedT7Error, DamagedCheckpointError))
        way_out = "; use another copy of the file, or an earlier checkpoint" if damaged else ""
        raise UserError(f"can't read {path} as a checkpoint: {reason}{way_out}.") from e


def _saved_answer(path: str | os.PathLike[str]) -> str:
    """That a short text, such as an error of a server, was saved under a checkpoint's name; "" for another file."""
    text = _start(path, _SHORT)
    if not os.fspath(path).lower().endswith(formats.ENDINGS) or len(text) == _SHORT or not file_magic.is_text(text):
        return ""
    shown = "" if b"\0" in text else f" '{escape_line(text.strip(), _MOST_SHOWN)}',"  # UTF-16 would be no words
    size = f"{len(text)} {plural(len(text), 'byte')}"
    return f"it is a text of {size},{shown} saved in the file's place: download the file again"


def why_no_checkpoint(path: str | os.PathLike[str]) -> str:
    """Why a file of a text's cache is no checkpoint, and how to get the text, in a sentence; "" for another file."""
    path = os.fspath(path)
    if not file_magic.is_cache(os.path.basename(path), _start(path)):
        return ""
    data = os.path.join(os.path.dirname(path), "data_utf8.t7" if "_utf8" in os.path.basename(path) else "data.t7")
    command = shell_words.joined(["pycharrnn", "convert", shell_words.operand(data), "input.txt"])
    way_out = f"{command} writes the text" if os.path.isfile(data) else "name a checkpoint"
    return f"{path} is char-rnn's cache of a text, not a checkpoint: {way_out}."


def convert(
    loaded: charrnn.Checkpoint,
    path: str | os.PathLike[str],
    options: formats.WriteOptions = formats.DEFAULT,
) -> None:
    """Write a checkpoint in the format of the ending of `path` (except .html), with a progress bar on a terminal.

    Errors: OSError; UserError for another ending, or a missing folder.
    """
    chosen = formats.of(path)
    if chosen is None:
        endings = series(formats.ALL_ENDINGS, "or")
        raise UserError(f"can't tell the format of {path} from its ending: use {endings}.")
    if not chosen.written:
        raise UserError(f"can't write the page {path} here: save a checkpoint, and pycharrnn convert makes the page.")
    output_folder.require_folder(path)
    if options.dtype:
        metadata.require_range(loaded.network, options.dtype, formats.flag_for("dtype", options.dtype))
    chosen.functions().save(path, loaded, options)
