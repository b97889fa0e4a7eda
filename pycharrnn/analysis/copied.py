"""Compares a sample with a training text, for `copied` and Model.copied: passages with their places, and the curve."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from compat import item_options
from pycharrnn.analysis import evaluation
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.common.display import is_utf8
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.common.progress import bar
from pycharrnn.common.standard_streams import input_name
from pycharrnn.engine import copies
from pycharrnn.text import decode_text, labels, source_files
from pycharrnn.text.file_pieces import file_pieces
from pycharrnn.text.joined_files import JoinedFiles
from pycharrnn.text.places import places
from pycharrnn.text.recorded_text import recorded_text
from pycharrnn.training import novelty

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.engine.copies import Comparison, Copy
    from pycharrnn.text.recorded_text import RecordedText
    from pycharrnn.training.novelty import Novelty


@dataclass(frozen=True)
class Passage:
    """A passage of a sample that is in a text, letter for letter.

    Attributes:
        length: its characters: code points, and bytes of invalid UTF-8. encoded: its bytes.
        start: offset of its first byte in the sample. line, column: its place in the sample, from 1.
        text_line, text_column: its place in the text; the first, where it is there more than once.
    """

    length: int
    encoded: bytes
    start: int
    line: int
    column: int
    text_line: int
    text_column: int

    def __str__(self) -> str:
        return self.encoded.decode("utf-8", "replace")


@dataclass(frozen=True)
class Text:
    """A training text.

    Attributes:
        name: its path, for messages. size: about its bytes. pieces: reads it once. files: how many follow each other.
    """

    name: str
    size: int
    pieces: Callable[[], Iterator[bytes]]
    files: int = 1


def text_of_file(
    path: str,
    sample: bytes,
    until_read: contextlib.ExitStack,
    note: PrintLine = print_nothing,
    text_encoding: str = "",
) -> Text:
    """A text of a user's, read as `train` reads it: in UTF-8, with Unix line ends.

    Without a `text_encoding`, it is read as it stands where the sample is not such a text: where it has CR characters
    or invalid UTF-8.

    Args:
        until_read: closes what was read of standard input.
        note: prints which files of a folder are left out.
        text_encoding: of the file; "" = detect it, "bytes" = read it as it stands.

    Errors: OSError; UserError for a missing file or no text.
    """
    if not text_encoding and (b"\r" in sample or not is_utf8(sample)):
        text_encoding = decode_text.RAW
    joined = JoinedFiles(source_files.find([path], note, until_read, text_encoding))
    return Text(input_name(path), joined.size, joined.pieces, len(joined.files))


def text_of_model(path: str, loaded: Checkpoint) -> Text:
    """The recorded training text of the checkpoint at `path`. Errors: as text_of_record."""
    return text_of_record(recorded_text(path, loaded))


def text_of_record(recorded: RecordedText) -> Text:
    """A recorded training text. Errors: OSError; UserError if it is missing, or has changed since."""
    name = recorded.checked_path()
    return Text(name, os.path.getsize(name), functools.partial(file_pieces, name))


def compare(
    sample: bytes, text: Text, known_labels: Collection[bytes] = (), progress: int = -1, threads: int = 1
) -> Comparison:
    """Compare a sample with a text. Errors: OSError; UserError.

    `known_labels`: of a model; where items of the sample begin with them, they are in no passage.
    `progress`: as for progress.bar.
    """
    pieces = labels.cut(sample, known_labels)
    with bar("comparing", text.size, progress) as advance:

        def read() -> Iterator[bytes]:
            for piece in text.pieces():
                yield piece
                advance(len(piece))

        return copies.compare(pieces, [read()], threads, left_out=range(1, len(pieces), 2))


def curve_of_lines(sample: bytes, text: Text, known_labels: Collection[bytes], threads: int) -> list[float | None]:
    """The shares of copies.CURVE, of n-grams that go on to no next line, as in a model of lines. Errors: as compare.

    `known_labels`: of the model.
    """
    pieces = novelty.pieces_of_sample(sample, True, known_labels)
    return copies.compare(pieces, [text.pieces()], threads).curve()


def passages(found: Comparison, text: Text, least: int, each_once: bool = True) -> list[Passage]:
    """The passages of at least so many characters, the longest first. Errors: OSError; UserError for a changed text.

    `each_once`: leave out those that the sample has repeated.
    """
    chosen = found.copies(least)
    if each_once:
        each: dict[bytes, Copy] = {}
        for copy in chosen:
            each.setdefault(copy.passage, copy)
        chosen = list(each.values())
    return with_places(found.sample, text, chosen)


def with_places(sample: bytes, text: Text, found: list[Copy]) -> list[Passage]:
    """The passages with their places in the sample and in the text. Errors: OSError; UserError for a changed text."""
    uncertain = sorted({copy.passage for copy in found if not copy.is_first})
    first = copies.first_positions(uncertain, text.pieces)
    found = [replace(copy, position=first.get(copy.passage, copy.position)) for copy in found]
    own = places([sample], [copy.start for copy in found])
    others = places(text.pieces(), [copy.position for copy in found])
    if len(others) < len({copy.position for copy in found}):
        raise UserError(f"{text.name} changed while it was read; start again.")
    return [Passage(copy.length, copy.passage, copy.start, *own[copy.start], *others[copy.position]) for copy in found]


def novelty_of_model(path: str, loaded: Checkpoint, sample: bytes, threads: int) -> Novelty:
    """A sample, and the validation split, beside the training split, as the checkpoint's training divided the text.

    Errors: UserError; OSError.
    """
    pieces = novelty.pieces_of_sample(sample, item_options.is_one_line(loaded.items), loaded.labels)
    alone = f"with {flag('text')} FILE, {flag('curve', 1)} is of the sample alone"
    with contextlib.closing(evaluation.open_batches(path, loaded, EvalOptions(), (), alone)) as loader:
        return novelty.novelty(pieces, loader, threads)
