"""Texts that a user names, files, folders or a pipe, as one text to train on: data/NAME/input.txt.

A file beside it, .sources, says what it was made of and which text that gave, so that the same command later finds its
folder again, and no text that somebody else put there is ever overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from compat.atomic_write import atomic_write
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar
from pycharrnn.common.standard_streams import standard_input
from pycharrnn.text import decode_text
from pycharrnn.text.text_stats import stats_of_file

if TYPE_CHECKING:
    import io

_SOURCES = ".sources"
_MOST_NAMED = 8  # files in a message; of all others it says how many
_LONGEST_NAME = 80  # bytes: files of a run have some more in their names, of 255
_DEVICE_OF_WINDOWS = re.compile(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)")  # nothing can be called so there
_MOST_FOLDERS = 1000  # of one name, NAME, NAME_2 and so on
_PIECE = 1 << 20


@dataclass(frozen=True)
class _File:
    """A file to take: where it lies, how it is called in messages, what it is written in, its size in bytes."""

    path: str
    shown: str
    encoding: str
    size: int


def gather(paths: Sequence[str], note: Callable[[str], None], progress: int = 0, data: str = "data") -> str:
    """Make one text of files and folders, and say what was taken and what was left out.

    Args:
        paths: files, folders, of which all text files below them are taken in the order of their names, or - for
            standard input.
        note: takes lines for the user.
        progress: whether to show a bar, as for common.progress.enabled.
        data: the folder of all texts.

    Returns: the folder that holds the text as input.txt. It is untouched where it held that very text before.

    Errors: UserError.
    """
    with contextlib.ExitStack() as until_copied:
        files, left_out = _files(paths, until_copied)
        if left_out:
            note(f"left out, for they hold no text: {_some(left_out)}.")
        if not files:
            what = ", ".join(escape_line(path) for path in paths)
            raise UserError(f"there is no text in {what}: name files of plain text, or folders that hold some.")
        sources = ["-" if path == "-" else os.path.realpath(path) for path in paths]
        return _gathered(os.path.join(data, name_of(paths)), files, sources, note, progress)


def gather_text(text: bytes, note: Callable[[str], None], progress: int = 0, data: str = "data") -> str:
    """As gather, of a text that is in no file: data/text/input.txt, or data/text_2 where another text lies there.

    Errors: UserError.
    """
    with tempfile.TemporaryDirectory(prefix="pycharrnn-") as temporary:
        path = os.path.join(temporary, "text")
        with open(path, "wb") as f:
            f.write(text)
        encoding = decode_text.encoding_of(path) if text else None
        if encoding is None:
            raise UserError("the text is no plain text: it is empty, or holds what no text has.")
        files = [_File(path, "the text", encoding, len(text))]
        return _gathered(
            os.path.join(data, "text"), files, [stats_of_file(path, len(text)).fingerprint], note, progress
        )


def _gathered(
    wanted: str, files: Sequence[_File], sources: list[str], note: Callable[[str], None], progress: int
) -> str:
    """Make one text of files, in `wanted` unless another text lies there: its folder. Errors: UserError."""
    folder, holds = _place(wanted, files, sources, note)
    input_file = os.path.join(folder, "input.txt")
    if holds != "this":
        _write(folder, files, sources, progress)
    how = {"this": "as before", "nothing": "new", "earlier": "rewritten, since these have changed"}[holds]
    count = f"{len(files)} file{'s' if len(files) > 1 else ''}"
    said = f"{escape_line(input_file)}: {os.path.getsize(input_file):,} bytes, {how}"
    is_itself = holds == "this" and len(files) == 1 and os.path.samefile(files[0].path, input_file)
    note(said + ("." if is_itself else f"; of {count}: {_some([_described(file) for file in files])}."))
    return folder


def name_of(paths: Sequence[str]) -> str:
    """What to call the text of these files and folders: a name that is safe for a file.

    Example:
        >>> name_of(["My poems/"]), name_of(["a.txt", "b.txt", "c"]), name_of(["data/ulysses/input.txt"])
        ('My_poems', 'a_and_2_more', 'ulysses')
    """
    if paths[0] == "-" or os.path.abspath(paths[0]).startswith("/dev/"):
        name = "stdin"
    else:
        folder, name = os.path.split(os.path.abspath(paths[0]))
        if name == "input.txt":
            name = os.path.basename(folder)
        elif not os.path.isdir(paths[0]):
            name = os.path.splitext(name)[0]
    name = re.sub(r"[^\w.-]+", "_", name).lstrip("._-").encode()[:_LONGEST_NAME].decode(errors="ignore")
    name = name.rstrip("._") or "text"
    if _DEVICE_OF_WINDOWS.match(name):
        name = f"text_{name}"
    return name if len(paths) == 1 else f"{name}_and_{len(paths) - 1}_more"


# -- which files -------------------------------------------------------------------------------------------------------


def _files(paths: Sequence[str], until_copied: contextlib.ExitStack) -> tuple[list[_File], list[str]]:
    """The text files among `paths` and below them, each once; and the names of the files that hold no text.

    Args:
        until_copied: keeps what comes through a pipe, in a temporary file.

    Errors: UserError.
    """
    files: dict[str, _File] = {}  # real path -> file
    left_out: list[str] = []
    for path, shown in _walk(paths, until_copied):
        real = os.path.realpath(path)
        if real in files:
            continue
        try:
            size = os.path.getsize(path)
            encoding = decode_text.encoding_of(path) if size else None
        except OSError as e:
            raise UserError(f"can't read {escape_line(shown)}: {e.strerror or e}.") from e
        if encoding is None:
            left_out.append(escape_line(shown) + ("" if size else " (empty)"))
        else:
            files[real] = _File(path, shown, encoding, size)
    return list(files.values()), left_out


def _walk(paths: Sequence[str], until_copied: contextlib.ExitStack) -> Iterator[tuple[str, str]]:
    """(path, name for messages) of each file that is named or lies below a folder that is named. Errors: UserError."""
    for path in paths:
        try:
            mode = stat.S_IFIFO if path == "-" else os.stat(path).st_mode
        except (OSError, ValueError) as e:
            why = f"can't read {escape_line(path)} ({getattr(e, 'strerror', None) or e})"
            raise UserError(f"{why}: name a text file or a folder of them, or get one by pycharrnn data pydoc.") from e
        if stat.S_ISDIR(mode):
            yield from ((file, file) for file in _below(path, frozenset()))
        elif stat.S_ISREG(mode):
            yield path, path
        elif stat.S_ISFIFO(mode):
            yield _copied(path, until_copied), "standard input" if path == "-" else path
        else:
            raise UserError(f"{escape_line(path)} is neither a file nor a folder: name a text.")


def _below(folder: str, above: frozenset[str]) -> Iterator[str]:
    """All files below a folder, in the order of their names, but hidden ones and texts that were gathered earlier.

    Args:
        above: the real paths of the folders that it lies in, into which a link may lead back.

    Errors: UserError.
    """
    above |= {os.path.realpath(folder)}
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as e:
        raise UserError(f"can't read the folder {escape_line(folder)}: {e.strerror or e}.") from e
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield entry.path
        elif entry.is_dir() and not (
            os.path.realpath(entry.path) in above or os.path.exists(os.path.join(entry.path, _SOURCES))
        ):
            yield from _below(entry.path, above)


def _copied(path: str, until_copied: contextlib.ExitStack) -> str:
    """A temporary file with what comes through a pipe, which can be read once only. Errors: UserError."""
    copy = os.path.join(until_copied.enter_context(tempfile.TemporaryDirectory(prefix="pycharrnn-")), "text")
    try:
        with (
            contextlib.nullcontext(cast("io.BufferedReader", standard_input()))
            if path == "-"
            else open(path, "rb") as pipe,
            open(copy, "wb") as f,
        ):
            while piece := pipe.read1(_PIECE):  # `read` would go on after a terminal's end, until a second Ctrl-D
                f.write(piece)
    except OSError as e:
        raise UserError(f"can't copy what comes from {escape_line(path)}: {e.strerror or e}.") from e
    return copy


def _some(names: Sequence[str]) -> str:
    """Names for a message, some of them where they are many."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _described(file: _File) -> str:
    """Name and size of a file that was taken, and what it was written in where that is no more so."""
    encoding = "" if file.encoding == "bytes" else f", {file.encoding[:6].upper()}"
    return f"{escape_line(file.shown)} ({file.size:,} bytes{encoding})"


# -- where to ----------------------------------------------------------------------------------------------------------


def _place(wanted: str, files: Sequence[_File], sources: list[str], note: Callable[[str], None]) -> tuple[str, str]:
    """The folder for a text, `wanted` unless another text lies there, and what it holds now.

    Returns: the folder; "nothing", "this" very text, or an "earlier" one of the same sources.

    Errors: UserError.
    """
    for number in range(1, _MOST_FOLDERS):
        folder = wanted if number == 1 else f"{wanted}_{number}"
        try:
            holds = _content(folder, files, sources)
        except OSError as e:
            raise UserError(f"can't read {e.filename or folder}: {e.strerror or e}.") from e
        if holds != "another":
            if number > 1:
                note(f"{wanted} holds something else, so this text goes by the name of {os.path.basename(folder)}.")
            return folder, holds
    raise UserError(f"{wanted} and {_MOST_FOLDERS - 2} like it hold other texts: remove some, or rename yours.")


def _content(folder: str, files: Sequence[_File], sources: list[str]) -> str:
    """What a folder holds: "nothing", "this" text, an "earlier" one of these sources, or "another". Errors: OSError."""
    if not os.path.lexists(folder) or (os.path.isdir(folder) and not os.listdir(folder)):
        return "nothing"
    input_file = os.path.join(folder, "input.txt")
    if not os.path.isfile(input_file):
        return "another"
    if _holds(input_file, _joined(files)):
        return "this"
    # One that a user has changed by hand since is his.
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, _SOURCES), "rb") as f:
        if json.load(f) == _record(input_file, sources):
            return "earlier"
    return "another"


def _holds(path: str, text: Iterator[bytes]) -> bool:
    """Whether a file holds exactly this text. Errors: OSError."""
    with open(path, "rb") as f:
        return all(f.read(len(piece)) == piece for piece in text) and not f.read(1)


def _record(input_file: str, sources: list[str]) -> dict[str, object]:
    """What .sources holds: which text it is, and what that was made of. Errors: UserError."""
    return {"text": stats_of_file(input_file, 0).fingerprint, "sources": sources}


def _write(folder: str, files: Sequence[_File], sources: list[str], progress: int) -> None:
    """Write input.txt, whole or not at all, and what it was made of. Errors: UserError."""
    input_file = os.path.join(folder, "input.txt")
    try:
        os.makedirs(folder, exist_ok=True)
        with atomic_write(input_file) as f, bar("gathering", sum(file.size for file in files), progress) as advance:
            for piece in _joined(files, advance):
                f.write(piece)
        with atomic_write(os.path.join(folder, _SOURCES)) as f:
            f.write(json.dumps(_record(input_file, sources), indent=1).encode())
    except OSError as e:
        where = f"{e.filename}: " if e.filename not in (None, input_file) else ""
        raise UserError(f"can't make {input_file} ({where}{e.strerror or e}).") from e


def _joined(files: Sequence[_File], advance: Callable[[int], None] = lambda done: None) -> Iterator[bytes]:
    """The texts of all files, each of which begins on a line of its own. Errors: OSError."""
    last = b"\n"
    for file in files:
        if last != b"\n":
            yield b"\n"
        for piece in decode_text.pieces(file.path, file.encoding, advance):
            yield piece
            last = piece[-1:] or last
