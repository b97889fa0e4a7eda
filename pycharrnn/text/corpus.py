"""Makes one text, data/NAME/input.txt, of the files that `train FILES` names.

A text is never replaced: a checkpoint may need it, a training may read it. The same text again finds its folder; a
changed text, or another one of the same name, goes to data/NAME_2. Only `Corpus.write` writes; it reads the sources
again, after a first pass for the statistics.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from compat import item_options
from compat.atomic_write import atomic_write
from pycharrnn.common import file_lock, regular_files, shell_words
from pycharrnn.common.display import escape_line, join_words, plural
from pycharrnn.common.errors import UserError, flag, on_page, wordings
from pycharrnn.common.numbered_names import numbered
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.progress import bar
from pycharrnn.text import cache_record, file_kinds, labels, list_text, source_files, text_stats
from pycharrnn.text.fingerprint import TextHash, fingerprint_of_blocks
from pycharrnn.text.joined_files import JoinedFiles, decoded
from pycharrnn.text.source_files import SOURCES, SourceFile
from pycharrnn.text.text_folder import INPUT_NAME, input_file
from pycharrnn.text.text_stats import TextStats

_LOCK = ".lock"  # in the folder of all texts; held while a text gets its folder
_EXAMINED_FILES = 20  # of a list, for the header of a table
MAX_NAME = 80  # bytes of a text's or a run's; the file names of a run are longer, and limited to 255
_WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)")  # names that Windows reserves


@dataclass
class Corpus:
    """A text with a folder of its own, data/NAME; if `is_new`, `write` has yet to write it.

    `joined`: the files whose text it is. `list_kind`: of list_text.kind_of_list, for a text without -items.
    """

    folder: str
    stats: TextStats
    is_new: bool
    joined: JoinedFiles
    list_kind: str
    _command: Sequence[str]  # the command that reads the same files alike; empty for a text in memory
    _sources: Sequence[str]
    _note: PrintLine
    _progress: int
    _until_written: contextlib.ExitStack

    def write(self) -> TextStats:
        """Write input.txt if it is new; return its statistics. Errors: UserError."""
        path = input_file(self.folder)
        if self.is_new:
            self.stats = self._written(path)
        files = self.joined.files
        if how := source_files.sentence_on_decoding(files, self.joined.replaced):
            self._note(how)
        size = f"{self.stats.size:,} bytes{' with labels' if self.joined.label in labels.FROM_PATH else ''}"
        said = f"{escape_line(path)}: {size}, {'new' if self.is_new else 'as before'}"
        if len(files) == 1 and os.path.samefile(files[0].path, path):
            self._note(f"{said}.")
        else:
            sources = f"{len(files)} {plural(len(files), 'file')}: {join_words(list(map(str, files)))}"
            self._note(f"{said}, from {sources}.")
        if advice := self._advice_on_list():
            self._note(advice)
        if item_options.is_one_line(self.joined.items):
            for advice in self.advice_on_headers():
                self._note(advice)
        self._until_written.close()
        return self.stats

    def _advice_on_list(self) -> str:
        """A sentence for a text that looks like a list; "" for another one."""
        if not self.list_kind:
            return ""
        kind = list_text.ITEMS[self.list_kind]
        unit = "line" if item_options.is_one_line(kind) else "item"
        learnt = f"the network learns the order of the {unit}s"
        if self.list_kind == list_text.SORTED_LIST:
            learnt += ", and is validated on the last lines only"
        command = shell_words.joined([*self._command, "-items", kind])
        option = flag("items", kind)
        remedy = (
            f"{on_page(option, elsewhere=command)} learns each {unit}" if self._command else f"{option} learns each"
        )
        shown = escape_line(input_file(self.folder))
        return f"{shown} looks like a {self.list_kind}: {learnt}; {remedy} by itself, in a new order every epoch."

    def advice_on_headers(self) -> list[str]:
        """A warning for each file whose first line looks like the header of a table. Errors: OSError."""
        found = []
        for file in self.joined.files[:_EXAMINED_FILES]:
            beginning = next(decoded(file), b"")[: list_text.EXAMINED]
            if header := list_text.header(beginning):
                found.append(
                    f"the first line of {file.shown}, '{escape_line(header, 60)}', looks like the header of a table,"
                    " and is learned as an item: remove it, and any column that is not to be learned."
                )
        return found

    def _written(self, path: str) -> TextStats:
        sources = os.path.join(self.folder, SOURCES)
        text_hash = TextHash()
        joined = self.joined
        try:
            os.makedirs(self.folder, exist_ok=True)
            _exclude_non_readers(self.folder, joined.files)
            regular_files.check(sources)
            try:
                with atomic_write(sources) as f:
                    lines = [
                        *self._sources,
                        joined.items and f"-items {joined.items}",
                        joined.label and f"-label {joined.label}",
                        source_files.how_decoded(joined.files),
                    ]
                    f.write(os.fsencode("".join(f"{line}\n" for line in lines if line)))
                with atomic_write(path) as f, bar("gathering", joined.size, self._progress) as advance:
                    for piece in joined.pieces(advance):
                        text_hash.update(piece)
                        f.write(piece)
                    if (text_hash.size, text_hash.fingerprint()) != (self.stats.size, self.stats.fingerprint):
                        raise UserError(f"{joined.shown} changed while the training began: start again.")
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(sources)
                    os.rmdir(self.folder)
                raise
            fingerprint = self.stats.fingerprint or fingerprint_of_blocks(path)
        except OSError as e:
            where = f"{escape_line(e.filename)}: " if e.filename not in (None, path) else ""
            way_out = ": change to a folder of your own" if isinstance(e, PermissionError) else ""
            raise UserError(f"can't make {escape_line(path)} ({where}{e.strerror or e}){way_out}.") from e
        return replace(self.stats, fingerprint=fingerprint, state=cache_record.file_state(path))


@contextlib.contextmanager
def gather(
    texts: Sequence[str] | bytes,
    note: PrintLine,
    progress: int = 0,
    is_product: Callable[[str], bool] = lambda path: False,
    data: str = "data",
    text_encoding: str = "",
    items: str = "",
    label: str = "",
    encoding: str = "",
) -> Iterator[Corpus]:
    """Find a folder in `data` for the text of some files; until it is written, no other text can take the folder.

    `texts`, `is_product`, `text_encoding`: as for source_files.find; or bytes, a text with the name "text". `note`
    prints which files are read, how, and which are left out. `items`, `label`: the values of -items and -label.
    `encoding`: that of -encoding, "" if it is not given; advice repeats it. Errors: UserError, also for a list that
    can't be learnt from.
    """
    with contextlib.ExitStack() as until_written:
        if isinstance(texts, bytes):
            name, files, sources = "text", [_text_file(texts, until_written, text_encoding)], ["a text"]
        else:
            or_else = wordings("get one by pycharrnn data pydoc", "give the text itself as bytes")
            files = source_files.find(texts, note, until_written, text_encoding, or_else, is_product)
            name = name_of(list(dict.fromkeys(file.given for file in files)))  # without what was left out
            sources = ["-" if path == "-" else os.path.realpath(path) for path in texts]
        if not items:  # equal items are in the same split, so that copies do no harm to val_loss
            for sentence in source_files.sentences_on_copies(files):
                note(sentence)
        joined = JoinedFiles(files, items, label)
        try:
            with bar("reading", joined.size, progress) as advance:
                beginning = bytearray()
                stats = text_stats.stats_of(_kept(joined.checked_pieces(advance, note), beginning))
        except OSError as e:
            raise UserError(f"can't read {escape_line(e.filename or name)}: {e.strerror or e}.") from e
        if not stats.size:
            raise UserError(f"there is no text in {joined.shown}: name another file.")
        until_written.enter_context(_lock(data, note))
        folder, held = _place(os.path.join(data, name), joined, stats, note)
        list_kind = "" if items else list_text.kind_of_list(bytes(beginning))
        command = [] if isinstance(texts, bytes) else ["pycharrnn", "train", *map(shell_words.operand, texts)]
        for option, value in (("-text_encoding", text_encoding), ("-encoding", encoding)):
            command += [option, value] if command and value else []
        yield Corpus(
            folder,
            stats=held or stats,
            is_new=held is None,
            joined=joined,
            list_kind=list_kind,
            _command=command,
            _sources=sources,
            _note=note,
            _progress=progress,
            _until_written=until_written,
        )


def name_of(paths: Sequence[str]) -> str:
    """The name of the text of these files and folders, safe as a file name.

    Example:
        >>> name_of(["My poems/"]), name_of(["a.txt", "b.txt", "c"]), name_of(["data/ulysses/input.txt"])
        ('My_poems', 'a_and_2_more', 'ulysses')
    """
    if paths[0] == "-" or os.path.abspath(paths[0]).startswith("/dev/"):
        name = "stdin"
    else:
        folder, name = os.path.split(os.path.abspath(paths[0]))
        if name == INPUT_NAME:
            name = os.path.basename(folder)
        elif not os.path.isdir(paths[0]):
            name = os.path.splitext(name)[0]
    name = safe_name(name)
    return name if len(paths) == 1 else f"{name}_and_{len(paths) - 1}_more"


def safe_name(name: str, most: int = MAX_NAME) -> str:
    """A name of any origin as one that is safe for a file on every system, and neither hidden nor empty.

    A safe name stays as it is. Accents are joined with their letters, as keyboards type them; file systems of macOS may
    keep them apart. `most`: its bytes.

    Example:
        >>> safe_name("My poems?.txt"), safe_name("../.."), safe_name("NUL")
        ('My_poems_.txt', 'text', 'text_NUL')
    """
    # The beginning is enough, and normalizing a long run of accents takes quadratic time.
    words = _words_of(unicodedata.normalize("NFC", name[: 4 * MAX_NAME]))
    name = _cut(re.sub(" +", "_", words).lstrip("._-"), most)
    return _cut(f"text_{name}", most) if _WINDOWS_DEVICE.match(name) else name


def _words_of(name: str) -> str:
    """A name with spaces in place of what is neither a letter, with its marks, nor a digit or one of "_.-".

    Marks are the vowel signs of Hindi, for example, of which str.isalnum is false.
    """
    in_word, found = False, ""
    for c in name:
        in_word = c.isalnum() or (in_word and unicodedata.category(c).startswith("M"))
        found += c if in_word or c in "_.-" else " "
    return found


def _cut(name: str, most: int) -> str:
    """The beginning of a name, of at most `most` bytes, that does not end in a dot or an underscore; not empty."""
    return name.encode()[:most].decode(errors="ignore").rstrip("._") or "text"


def _text_file(text: bytes, until_written: contextlib.ExitStack, text_encoding: str) -> SourceFile:
    """A temporary file with this text. Errors: UserError for an empty text, or what is not plain text."""
    path = os.path.join(until_written.enter_context(tempfile.TemporaryDirectory(prefix="pycharrnn-")), "text")
    with open(path, "wb") as f:
        f.write(text)
    found = source_files.source_file(path, "the text", len(text), text_encoding)
    if isinstance(found, SourceFile):
        return found
    raise UserError(file_kinds.refusal("the text", found) if found else "the text is empty, or binary data.")


@contextlib.contextmanager
def _lock(data: str, note: PrintLine) -> Iterator[None]:
    """Hold the lock on the folder of all texts, after waiting for its holder; go without if locking fails."""
    path, fd = os.path.join(data, _LOCK), None
    with contextlib.suppress(OSError):
        os.makedirs(data, exist_ok=True)
        for attempt in itertools.count():
            try:
                fd = file_lock.acquire(path)
                break
            except file_lock.LockHeld as e:
                if attempt == 20:
                    note(f"waiting for another training{e.holder and f' ({e.holder})'}, which writes to {data}.")
                time.sleep(0.05)
    try:
        yield
    finally:
        if fd is not None:
            file_lock.release(fd, path)
            with contextlib.suppress(OSError):
                os.rmdir(data)  # if it is still empty


def _place(wanted: str, joined: JoinedFiles, stats: TextStats, note: PrintLine) -> tuple[str, TextStats | None]:
    """Choose the folder of a text among `wanted`, `wanted`_2, ...: the first that is free or already has this text.

    Returns: the folder, and the statistics of its input.txt; None in their place if the folder is free. Errors:
        UserError.
    """
    folders = numbered(wanted)
    while True:
        folder = next(folders)
        try:
            is_free = _is_free(folder)
            held = None if is_free else _held(folder, joined, stats)
            if is_free or held:
                if folder != wanted:
                    name = escape_line(os.path.basename(folder))
                    note(
                        f"{escape_line(wanted)} holds another text, so this text is named {name}; its run has that name"
                        f" too, unless {flag('savefile')} gives another."
                    )
                return folder, held
        except OSError as e:
            raise UserError(f"can't read {escape_line(e.filename or folder)}: {e.strerror or e}.") from e


def _exclude_non_readers(folder: str, files: Iterable[SourceFile]) -> None:
    """Close a new folder to the group, or to other users, if they may not read one of the files. Errors: OSError."""
    before = mode = stat.S_IMODE(os.stat(folder).st_mode)
    for file in files:
        allowed = os.stat(file.path).st_mode
        for may_read, permissions in ((stat.S_IRGRP, stat.S_IRWXG), (stat.S_IROTH, stat.S_IRWXO)):
            if not allowed & may_read:
                mode &= ~permissions
    if mode != before:
        with contextlib.suppress(PermissionError):  # of a file system without permissions
            os.chmod(folder, mode)


def _is_free(folder: str) -> bool:
    """Whether a folder is missing, empty, or holds only what a killed training leaves. Errors: OSError."""
    if not os.path.lexists(folder):
        return True
    return os.path.isdir(folder) and all(
        name == SOURCES or (name.startswith((f".{INPUT_NAME}.", f".{SOURCES}.")) and name.endswith(".tmp"))
        for name in os.listdir(folder)
    )


def _held(folder: str, joined: JoinedFiles, stats: TextStats) -> TextStats | None:
    """The statistics of a folder's input.txt if it is the text of `stats`. Errors: OSError; UserError."""
    path = input_file(folder)
    if not os.path.isfile(path) or os.path.getsize(path) != stats.size:
        return None
    held = text_stats.text_stats(folder)
    if stats.fingerprint:
        return held if held.fingerprint == stats.fingerprint else None
    with open(path, "rb") as f:
        return held if all(f.read(len(piece)) == piece for piece in joined.pieces()) else None


def _kept(pieces: Iterator[bytes], beginning: bytearray) -> Iterator[bytes]:
    """The pieces; the first of them are appended to `beginning`."""
    for piece in pieces:
        beginning += piece[: list_text.EXAMINED - len(beginning)]
        yield piece
