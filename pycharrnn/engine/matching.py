"""Matching statistics: for each place of a sample, the longest passage that ends there and is in a text, byte for byte.

The text streams through the suffix automaton of the sample (Blumer et al. 1985; Chang and Lawler 1994): exact, in time
linear in the text, and in about 120 bytes of memory for each byte of the sample. kernel_matching.h is the same in C.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.engine.kernel_arrays import aligned_zeros
from pycharrnn.engine.kernel_structures import INLINE_EDGES, MATCH_STATE, MatcherStruct

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

MAX_SAMPLE = 1 << 30  # bytes, so that 32 bits number the states of the automaton
# Bytes that one call of C takes. Python answers Ctrl-C only after the call.
_PIECE = 1 << 24  # of the text
_SAMPLE_PIECE = 1 << 20


class Matches(NamedTuple):
    """The longest passage that ends with each byte of a sample of n bytes and is in a text.

    Attributes:
        lengths: bytes of it, int32 (n,); 0 for a byte that the text lacks.
        positions: of its first byte in the text where the passage first stands there, int64 (n,); -1 for none.
    """

    lengths: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int64]


class _Automaton(Protocol):
    def read(self, text: bytes) -> None:
        """Read the next bytes of the text."""

    def restart(self) -> None:
        """Let no passage reach from the text read so far into what follows."""

    def finish(self) -> Matches:
        """The matches; ends the use."""


def match(sample: bytes, texts: Iterable[Iterable[bytes]], threads: int = 1) -> Matches:
    """The matches of a sample in texts. Each text is an iterable of its pieces; positions count the bytes of all texts.

    No passage goes on from one text to the next. `threads`: how many read each piece, in C; the result is the same
    with any number. Errors: UserError for a sample of more than 1 GiB.

    Example:
        >>> match(b"the cat", [[b"a cat, o", b"r the ca", b"b"]])
        Matches(lengths=array([1, 2, 3, 4, 5, 6, 3], ...), positions=array([10, 10, 10, 10, 10, 10, 2]))
    """
    if len(sample) > MAX_SAMPLE:
        raise UserError(f"the sample has {len(sample):,} bytes: at most {MAX_SAMPLE:,} can be compared at a time.")
    if not sample:
        return Matches(np.zeros(0, np.int32), np.zeros(0, np.int64))
    library = kernel_library.library()
    automaton: _Automaton = KernelAutomaton(sample, library, threads) if library else PythonAutomaton(sample)
    for text in texts:
        automaton.restart()
        for piece in text:
            automaton.read(piece)
    return automaton.finish()


class KernelAutomaton:
    """The automaton in C. Its arrays are described in kernel_structs.h."""

    def __init__(self, sample: bytes, library: ctypes.CDLL, threads: int = 1) -> None:
        n = len(sample)
        self._library, self._threads, self._sample = library, threads, np.frombuffer(sample, np.uint8)
        # Pages of these arrays that stay zero, as most of the rows do, take no memory.
        states = aligned_zeros((2 * n + 1, MATCH_STATE), np.uint8)
        rows = np.zeros((n // INLINE_EDGES + 1, 256), np.int32)
        self._arrays = states, rows
        self._matcher = MatcherStruct(self._sample.ctypes.data, n, states.ctypes.data, rows.ctypes.data)
        for start in range(0, n, _SAMPLE_PIECE):
            library.charrnn_build_matcher(ctypes.byref(self._matcher), min(_SAMPLE_PIECE, n - start))

    def read(self, text: bytes) -> None:
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            self._library.charrnn_match(ctypes.byref(self._matcher), piece, len(piece), self._threads)

    def restart(self) -> None:
        self._matcher.state = self._matcher.length = 0

    def finish(self) -> Matches:
        n = len(self._sample)
        found = Matches(np.empty(n, np.int32), np.empty(n, np.int64))
        workspace = np.empty(2 * n + 1, np.int32), np.zeros(n + 1, np.int32)
        addresses = (array.ctypes.data for array in (*found, *workspace))
        self._library.charrnn_finish_matching(ctypes.byref(self._matcher), *addresses)
        return found


class PythonAutomaton:
    """The automaton without the kernel; about twenty times as slow, with the same results."""

    def __init__(self, sample: bytes) -> None:
        self._sample = sample
        self._edges: list[dict[int, int]] = [{}]
        self._len, self._link = [0], [-1]  # length of a state's longest string; suffix link
        last = 0
        for byte in sample:
            last = self._extend(last, byte)
        self._longest = [0] * len(self._len)  # of a state's strings in the text
        self._first_seen: dict[int, int] = {}  # state -> first end in the text of one of its strings
        self._first_longest: dict[int, int] = {}
        self._state = self._length = self._position = 0

    def _new(self, length: int, link: int, edges: dict[int, int]) -> int:
        self._len.append(length)
        self._link.append(link)
        self._edges.append(edges)
        return len(self._len) - 1

    def _extend(self, last: int, byte: int) -> int:
        """Append a byte to the automaton's string, whose state is `last`. Returns: the new state."""
        edges, link = self._edges, self._link
        new, p = self._new(self._len[last] + 1, 0, {}), last
        while p >= 0 and byte not in edges[p]:
            edges[p][byte] = new
            p = link[p]
        if p < 0:
            return new
        q = edges[p][byte]
        if self._len[p] + 1 != self._len[q]:
            clone = self._new(self._len[p] + 1, link[q], dict(edges[q]))
            while p >= 0 and edges[p].get(byte) == q:
                edges[p][byte] = clone
                p = link[p]
            link[q] = q = clone
        link[new] = q
        return new

    def read(self, text: bytes) -> None:
        edges, state, length, longest = self._edges, self._state, self._length, self._longest
        for end, byte in enumerate(text, self._position + 1):
            while byte not in edges[state] and state:
                state = self._link[state]
                length = self._len[state]
            if byte not in edges[state]:
                continue
            state, length = edges[state][byte], length + 1
            if length > longest[state]:
                self._first_seen.setdefault(state, end)
                longest[state], self._first_longest[state] = length, end
        self._state, self._length = state, length
        self._position += len(text)

    def restart(self) -> None:
        self._state = self._length = 0

    def finish(self) -> Matches:
        longest, seen, first = self._longest, self._first_seen, self._first_longest
        by_length = sorted(range(1, len(self._len)), key=self._len.__getitem__)
        for state in reversed(by_length):  # a string is in the text wherever a longer one is that ends with it
            p = self._link[state]
            if longest[state] and p:
                before = [first[p]] if longest[p] == self._len[p] else []
                longest[p], first[p] = self._len[p], min([seen[state], *before])
                seen[p] = min(seen[state], seen.get(p, seen[state]))
        for state in by_length:
            p = self._link[state]
            if not longest[state] and longest[p]:
                longest[state], first[state] = longest[p], first[p]
        state, lengths, positions = 0, [], []
        for byte in self._sample:
            state = self._edges[state][byte]
            lengths.append(longest[state])
            positions.append(first[state] - longest[state] if longest[state] else -1)
        return Matches(np.array(lengths, np.int32), np.array(positions, np.int64))
