"""The passages of a sample that are in a text, letter for letter, and how much of the sample they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycharrnn.engine import matching
from pycharrnn.text.places import boundaries

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    import numpy.typing as npt

    _Numbers = npt.NDArray[np.int64]

_SEARCHED = 1 << 20  # bytes of passages that are searched at a time
_NOT_UTF8 = b"\xff"
CURVE = (4, 6, 8, 12, 16, 24, 32, 48)  # lengths of the n-grams of a novelty curve


@dataclass(frozen=True)
class Copy:
    """A passage of a sample that is in a text; no longer passage of the sample that contains it is.

    Attributes:
        length: its characters. passage: its bytes.
        start: offset of its first byte in the sample. position: offset of its first byte in the text.
        is_first: True if `position` is surely that of its first occurrence in the text.
    """

    length: int
    passage: bytes
    start: int
    position: int
    is_first: bool


class Comparison(NamedTuple):
    """A sample of N characters beside a text. A character is a code point, or a byte of invalid UTF-8.

    Attributes:
        sample: its bytes. boundaries: offsets of its characters and of its end, (N + 1,).
        lengths: characters of the longest passage that ends with each character and is in the text, (N,).
        positions: offset of that passage in the text, in bytes, (N,); -1 for none.
        are_first: True where that is surely the passage's first occurrence in the text, (N,).
        possible: characters from the start of the sample's piece up to and with each, (N,).
    """

    sample: bytes
    boundaries: _Numbers
    lengths: _Numbers
    positions: _Numbers
    are_first: npt.NDArray[np.bool_]
    possible: _Numbers

    def copies(self, least: int) -> list[Copy]:
        """The passages of at least so many characters, the longest first, of equal ones the first in the sample."""
        starts = np.arange(1, len(self.lengths) + 1) - self.lengths
        is_last = np.append(starts[1:] > starts[:-1], True)[: len(starts)]  # a longer passage does not contain it
        ends = np.flatnonzero(is_last & (self.lengths >= max(least, 1)))
        ends = ends[np.argsort(-self.lengths[ends], kind="stable")]
        places = self.boundaries[starts[ends]], self.boundaries[ends + 1]
        columns = *places, self.lengths[ends], self.positions[ends], self.are_first[ends]
        return [
            Copy(length, self.sample[start:end], start, position, is_first)
            for start, end, length, position, is_first in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def share(self, n: int) -> float | None:
        """The share of the sample's n-grams that are in the text; None for a sample that has none."""
        total = int(np.count_nonzero(self.possible >= n))
        return int(np.count_nonzero(self.lengths >= n)) / total if total else None

    def curve(self) -> list[float | None]:
        """The shares of the n-grams of CURVE."""
        return [self.share(n) for n in CURVE]


def compare(
    pieces: Sequence[bytes], texts: Iterable[Iterable[bytes]], threads: int = 1, left_out: Container[int] = ()
) -> Comparison:
    """Compare a sample with texts. `pieces`: of the sample. Each text is an iterable of its pieces.

    Passages go on from one piece of a text to the next, but from no text to the next, and from no piece of the sample.
    Positions count the bytes of all texts. `threads`: as for matching.match. `left_out`: numbers of pieces, from 0,
    that are in no passage. Errors: UserError for a sample of more than 1 GiB.
    """
    sample = b"".join(pieces)
    found = matching.match(sample, texts, threads)
    offsets = [boundaries(piece) for piece in pieces]
    sizes = [len(offset) - 1 for offset in offsets]
    firsts = np.cumsum([0, *map(len, pieces)])
    begins = np.concatenate(
        [offset[:-1] + first for offset, first in zip(offsets, firsts[:-1], strict=True)] or [np.zeros(0, np.int64)]
    )
    all_offsets = np.append(begins, len(sample)).astype(np.int64)
    counts = [np.arange(1, size + 1) for size in sizes]
    possible = np.concatenate(counts or [np.zeros(0, np.int64)]).astype(np.int64)
    is_left_out = np.repeat(np.array([k in left_out for k in range(len(pieces))], bool), sizes)
    ends = all_offsets[1:]
    lengths_in_bytes = found.lengths[ends - 1].astype(np.int64)
    first_bytes = ends - lengths_in_bytes
    # A passage begins with a whole character of its piece.
    first_characters = np.maximum(np.searchsorted(all_offsets, first_bytes), np.arange(1, len(ends) + 1) - possible)
    lengths = np.where(is_left_out, 0, np.arange(1, len(ends) + 1) - first_characters)
    possible[is_left_out] = 0
    positions = np.where(lengths > 0, found.positions[ends - 1] + all_offsets[first_characters] - first_bytes, -1)
    # A match that begins with bytes before the passage may occur later in the text than the passage alone.
    are_first = all_offsets[first_characters] == first_bytes
    return Comparison(sample, all_offsets, lengths, positions, are_first, possible)


def first_positions(passages: Sequence[bytes], text: Callable[[], Iterable[bytes]]) -> dict[bytes, int]:
    """Passage -> offset in bytes of its first occurrence in a text. `text()`: its bytes, in pieces.

    A passage is left out if the text lacks it, or has it after a byte 0xFF, which UTF-8 never has.
    """
    found: dict[bytes, int] = {}
    for some in _of_size(passages, _SEARCHED):
        sample = b"".join(_NOT_UTF8 + passage for passage in some)
        matches = matching.match(sample, [text()])
        ends = np.cumsum([len(passage) + 1 for passage in some]) - 1
        columns = matches.lengths[ends].tolist(), matches.positions[ends].tolist()
        found |= {p: position for p, length, position in zip(some, *columns, strict=True) if length == len(p)}
    return found


def _of_size(passages: Iterable[bytes], most: int) -> Iterator[list[bytes]]:
    """The passages in lists of `most` bytes, or of one passage that is longer."""
    some: list[bytes] = []
    size = 0
    for passage in passages:
        if some and size + len(passage) > most:
            yield some
            some, size = [], 0
        some.append(passage)
        size += len(passage)
    if some:
        yield some
