"""Finds the text files that `train FILES` names: files, all files below folders, and pipes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from compat import file_magic
from pycharrnn.common import folder_walk, near_paths
from pycharrnn.common.display import escape_line, join_words, series
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.standard_streams import input_name, standard_input
from pycharrnn.text import decode_text, detect_encoding, file_kinds, html_text
from pycharrnn.text.cache_record import file_state
from pycharrnn.text.decode_text import Decoding
from pycharrnn.text.encodings import invalid_utf8_at
from pycharrnn.text.file_kinds import HTML, Kind
from pycharrnn.text.file_pieces import file_pieces
from pycharrnn.text.fingerprint import TextHash, fingerprint_of_blocks
from pycharrnn.text.text_folder import input_file

SOURCES = ".sources"  # marks a folder as the text of earlier sources; it holds their paths, one a line
LEFT_OUT = "left out, since"  # begins a note of files that are not taken
_PIECE = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """A text file.

    Attributes:
        name: the path that the user knows; `path` may be that of a copy. size: bytes. given: the path that it is from.
    """

    path: str
    name: str
    decoding: Decoding
    size: int
    given: str = ""

    @property
    def shown(self) -> str:
        """The name in messages."""
        return escape_line(self.name)

    def __str__(self) -> str:
        return f"{self.shown} ({self.size:,} bytes)"


def find(
    paths: Sequence[str],
    note: PrintLine,
    until_copied: contextlib.ExitStack,
    text_encoding: str = "",
    or_else: str = "",
    is_product: Callable[[str], bool] = lambda path: False,
) -> list[SourceFile]:
    """The text files among `paths` and below them, each once. Errors: UserError.

    Args:
        paths: files, folders (their text files are taken in the order of their names), or - for standard input.
        note: prints which files were left out.
        until_copied: keeps the content of a pipe, in a temporary file.
        text_encoding: the value of -text_encoding, "" to detect the encoding of each file.
        or_else: what the caller can do instead of naming a file, for the message about a missing one.
        is_product: whether a training wrote the file at a path, found in a folder; such files are ignored.
    """
    files: dict[object, SourceFile] = {}  # by file_id
    skipped: list[str] = []
    not_plain: dict[str, Kind] = {}
    without_text: dict[str, tuple[str, int]] = {}  # name -> path, bytes
    for path, name, given, status in _walk(paths, skipped, is_product, until_copied, or_else):
        file_id = folder_walk.file_id(path, status)
        if file_id in files:
            continue
        shown = escape_line(name)
        try:
            found = source_file(path, name, status.st_size, text_encoding)
        except OSError as e:
            raise UserError(f"can't read {shown}: {e.strerror or e}.") from e
        if isinstance(found, SourceFile):
            files[file_id] = dataclasses.replace(found, given=given)
        elif found:
            not_plain[shown] = found
        else:
            without_text[name] = path, status.st_size
    if len(paths) == len(without_text) == 1 and not os.path.isdir(paths[0]):
        (name, (path, size)), *_ = without_text.items()
        raise UserError(_without_text(path, name, size))
    models = [shown for shown, kind in not_plain.items() if kind in file_kinds.MODELS]
    kinds = [f"{shown} ({kind.name})" for shown, kind in not_plain.items() if kind not in file_kinds.MODELS]
    empty_or_binary = [escape_line(name) + ("" if size else " (empty)") for name, (_, size) in without_text.items()]
    for words, names, advice in (
        ("they can't be followed", skipped, ""),
        ("they contain no text", empty_or_binary, ""),
        ("they are models", models if files else [], f"; {file_kinds.MODELS_AMONG_TEXTS}"),
        ("they are not plain text", kinds if files else [], "; save them as plain text"),
    ):
        if names:
            note(f"{LEFT_OUT} {words}: {join_words(names)}{advice}.")
    if not files:
        raise UserError(_refusal(not_plain) if not_plain else _no_text_in(paths, skipped))
    return list(files.values())


def sentences_on_copies(files: Iterable[SourceFile]) -> Iterator[str]:
    """A sentence for each group of files that have the same bytes. Errors: UserError."""
    by_size: dict[int, list[SourceFile]] = {}
    for file in files:
        by_size.setdefault(file.size, []).append(file)
    for alike in by_size.values():
        by_fingerprint: dict[str, list[SourceFile]] = {}
        for file in alike if len(alike) > 1 else ():
            text_hash = TextHash()
            try:
                for piece in file_pieces(file.path):
                    text_hash.update(piece)
                fingerprint = text_hash.fingerprint() or fingerprint_of_blocks(file.path)
            except OSError as e:
                raise UserError(f"can't read {file.shown}: {e.strerror or e}.") from e
            by_fingerprint.setdefault(fingerprint, []).append(file)
        for first, *copies in by_fingerprint.values():
            if copies:
                are, them = ("are copies", "them") if len(copies) > 1 else ("is a copy", "it")
                shown = join_words([file.shown for file in copies])
                learned = f"{are} of {first.shown}, which is learned more than once"
                yield f"{shown} {learned}: remove {them} for a true val_loss."


def _without_text(path: str, name: str, size: int) -> str:
    """That a file is no text, and what to do. Errors: OSError. `path`: of the content, `name`: for messages."""
    shown = escape_line(name)
    if not size:
        return f"{shown} is empty: name a text."
    return f"{shown} is {file_magic.other_program(path) or 'binary data'}: name a text."


def _no_text_in(paths: Sequence[str], skipped: Sequence[str]) -> str:
    """That there is no text at these paths, and what to do. `skipped`: what can't be read there, with the reasons."""
    what = ", ".join(escape_line(input_name(path)) for path in paths)
    if earlier := _earlier_texts(paths):
        shown = join_words([escape_line(path) for path in earlier])
        return f"there is no text in {what} but those of earlier trainings ({shown}): name one of them."
    if skipped:
        return f"there is no text in {what} that can be read: {join_words(skipped)}."
    return f"there is no text in {what}: name files of plain text, or folders that hold some."


def _earlier_texts(paths: Sequence[str]) -> list[str]:
    """The texts of earlier trainings in these folders, which `find` passes over."""
    folders = (
        os.path.join(path, name)
        for path in paths
        if os.path.isdir(path)
        for name in sorted(os.listdir(path))
        if os.path.lexists(os.path.join(path, name, SOURCES))
    )
    return [text for folder in folders if os.path.isfile(text := input_file(folder))]


def _refusal(not_plain: Mapping[str, Kind]) -> str:
    """Why none of these files is trained on: the kind and its way out, once for all files of a kind."""
    by_kind: dict[Kind, list[str]] = {}
    for shown, kind in not_plain.items():
        by_kind.setdefault(kind, []).append(shown)
    refusals = [
        file_kinds.refusal(f"each of {join_words(names)}" if len(names) > 1 else names[0], kind)
        for kind, names in by_kind.items()
    ]
    return "; ".join(refusal.removesuffix(".") for refusal in refusals) + "."


def source_file(path: str, name: str, size: int, text_encoding: str = "") -> SourceFile | Kind | None:
    """A file that is trained on; or its kind, if it is not plain text; None for an empty file and unknown binary data.

    `name`: of the file, for its ending and for messages. HTML is read as its text; with `text_encoding`, files with
    markup are read as they are. Errors: OSError; UserError without chardet.
    """
    if not size:
        return None
    kind, shown = file_kinds.kind_of(path, name), escape_line(name)
    if kind and kind.is_markup and text_encoding:
        kind = None
    is_html = kind is HTML and size <= html_text.MAX_BYTES
    if kind and not is_html:
        return kind
    decoding = detect_encoding.decoding_of(path, shown, text_encoding)
    if decoding:
        return SourceFile(path, name, dataclasses.replace(decoding, is_html=is_html), size)
    if file_kinds.has_checkpoint_ending(name):
        return None if file_magic.other_program(path) else file_kinds.CHECKPOINT
    if text_encoding not in ("", decode_text.RAW) and (detected := detect_encoding.decoding_of(path, shown)):
        way_out = f"leave out {flag('text_encoding', text_encoding)}, which is for all files"
        return Kind(f"in {detected}, not in {text_encoding}", way_out, is_plain_text=True)
    is_almost_text = detect_encoding.decoding_of(path, shown, decode_text.RAW) is not None
    return file_kinds.kind_of_binary(path, name, is_almost_text)


def read(path: str, note: PrintLine, text_encoding: str = "", of_model: bytes = b"") -> bytes:
    """The text of one file, or of standard input (-), as a training on it would read it; b"" for an empty one.

    `note` prints how it was decoded. `of_model`: the bytes that a model generates one by one. A file of these alone
    that is not UTF-8 is a sample with broken characters, and stays as it is. Errors: OSError; UserError for what is not
    plain text.
    """
    with contextlib.ExitStack() as until_copied:
        copy = _copied(path, until_copied) if is_pipe(path) else path
        name, size = input_name(path), os.path.getsize(copy)
        if not size:
            return b""
        may_be_sample = of_model and not text_encoding and not file_kinds.kind_of(copy, name)
        # Before its encoding is detected, for which a package may be missing.
        if may_be_sample and invalid_utf8_at(file_pieces(copy)) is not None:
            with open(copy, "rb") as f:
                content = f.read()
            if not content.translate(None, of_model):
                return content
        found, shown = source_file(copy, name, size, text_encoding), escape_line(name)
        if not isinstance(found, SourceFile):
            raise UserError(file_kinds.refusal(shown, found) if found else _without_text(copy, name, size))
        if sentence := sentence_on_decoding([found]):
            note(sentence)
        return b"".join(decode_text.pieces(found.path, found.decoding, shown))


def find_for_model(
    path: str, note: PrintLine, until_copied: contextlib.ExitStack, text_encoding: str = ""
) -> list[SourceFile]:
    """As `find`, of one path that is read for a model. `note` also prints how files were decoded. Errors: UserError."""
    found = find([path], note, until_copied, text_encoding)
    how = sentence_on_decoding(found)
    if how and text_encoding != decode_text.RAW:
        note(how)
    return found


def sentence_on_decoding(
    files: Sequence[SourceFile], replaced: Mapping[SourceFile, Collection[str]] = MappingProxyType({})
) -> str:
    """`how_decoded` as a sentence, with how to overrule a detected encoding; "" if all files were UTF-8.

    `replaced`: the line ends of files that became LF, as in decode_text; the sentence names them.
    """
    parts = [how_decoded(files)]
    if any(file.decoding.errors != "strict" for file in files):
        parts.append(f"{flag('text_encoding')} overrules this")
    by_line_ends: dict[str, list[str]] = {}
    for file, line_ends in replaced.items():
        if line_ends:
            words = series(sorted(line_ends), "and")
            by_line_ends.setdefault(words, []).append(file.shown)
    parts += [f"{join_words(names)}: line ends {words} became LF" for words, names in by_line_ends.items()]
    return "; ".join(filter(None, parts)) + "." if any(parts) else ""


def how_decoded(files: Sequence[SourceFile]) -> str:
    """Which files were not read as UTF-8, for a message: "a.txt and b.txt: read as cp1252"; "" if all were."""
    by_decoding: dict[Decoding, list[str]] = {}
    for file in files:
        if file.decoding != Decoding():
            by_decoding.setdefault(file.decoding, []).append(file.shown)
    return "; ".join(f"{join_words(names)}: read as {decoding}" for decoding, names in by_decoding.items())


def _walk(
    paths: Sequence[str],
    skipped: list[str],
    is_product: Callable[[str], bool],
    until_copied: contextlib.ExitStack,
    or_else: str,
) -> Iterator[tuple[str, str, str, os.stat_result]]:
    """Path, name for messages, path given and status of each file named, or below a named folder. Errors: UserError."""
    for path in paths:
        try:
            status = None if path == "-" else os.stat(path)
        except (OSError, ValueError) as e:
            why = f"can't read {escape_line(path)} ({getattr(e, 'strerror', None) or e})"
            if isinstance(e, FileNotFoundError) and (near := near_paths.near(path)):
                raise UserError(f"{why}; did you mean {escape_line(near)}?") from e
            if "://" in path:
                raise UserError(f"{escape_line(path)} is an address: download the text, and name the file.") from e
            if isinstance(e, FileNotFoundError) and (whole := near_paths.divided_name(paths, path)):
                raise UserError(f"{why}; if you mean one name with spaces, quote it: {whole}.") from e
            other = f", or {or_else}" if or_else else ""
            raise UserError(f"{why}: name a text file or a folder of them{other}.") from e
        if status is None or stat.S_ISFIFO(status.st_mode):
            copy = _copied(path, until_copied)
            yield copy, input_name(path), path, os.stat(copy)
        elif stat.S_ISDIR(status.st_mode):
            for file, found in _below(path, skipped):
                if not is_product(file):
                    yield file, file, path, found
        elif stat.S_ISREG(status.st_mode):
            yield path, path, path, status
        else:
            raise UserError(f"{escape_line(path)} is neither a file nor a folder: name a text.")


def _below(folder: str, skipped: list[str]) -> Iterator[folder_walk.Found]:
    """All files below a folder except hidden ones and texts of earlier sources. Errors: UserError."""
    try:
        yield from folder_walk.walk_files(
            folder,
            lambda path, why: skipped.append(f"{escape_line(path)} ({why})"),
            lambda name: not name.startswith("."),
            lambda path: not os.path.lexists(os.path.join(path, SOURCES)),
        )
    except OSError as e:
        raise UserError(f"can't read the folder {escape_line(e.filename or folder)}: {e.strerror or e}.") from e


def state(path: str) -> object:
    """What is equal while a file, or every file that `find` looks at in a folder, is unchanged. Errors: UserError."""
    if os.path.isdir(path):
        return tuple((file, file_state(file)) for file, _ in _below(path, []))
    return file_state(path)


def is_pipe(path: str) -> bool:
    """Whether a path is standard input or a pipe, whose text is copied to be read; False if there is nothing at it."""
    return path == "-" or (os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode))


def _copied(path: str, until_copied: contextlib.ExitStack) -> str:
    """A temporary file with the content of a pipe, which can be read only once. Errors: UserError."""
    copy = os.path.join(until_copied.enter_context(tempfile.TemporaryDirectory(prefix="pycharrnn-")), "text")
    try:
        with (
            contextlib.nullcontext(cast("io.BufferedReader", standard_input()))
            if path == "-"
            else open(path, "rb") as pipe,
            open(copy, "wb") as f,
        ):
            while piece := pipe.read1(_PIECE):  # `read` would continue after the first Ctrl-D of a terminal
                f.write(piece)
    except OSError as e:
        raise UserError(f"can't copy what comes from {escape_line(path)}: {e.strerror or e}.") from e
    return copy
