"""The index of passages in NumPy, where there is no kernel; see passages.py and kernel_passages.h."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common.splitmix64 import mix_bits
from pycharrnn.engine.passage_index import (
    BITS_OF_CONTEXT,
    BITS_OF_PASSAGE,
    CopyLimit,
    PassageFilter,
    PassageRules,
    Passages,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    _Hashes = npt.NDArray[np.uint64]


class ArrayPassages(Passages):
    """Passages in NumPy."""

    @abstractmethod
    def following(self, context: npt.NDArray[np.int32]) -> npt.NDArray[np.integer]:
        """Token ids that complete a passage after N characters, (N,)."""

    def limit(self) -> ArrayLimit:
        """See Passages.limit."""
        return ArrayLimit(self)


class ArrayIndex(ArrayPassages):
    """An exact index: where passages begin, sorted by the hash of their first N characters. `text`: as KernelIndex."""

    def __init__(self, rules: PassageRules, text: npt.NDArray[np.int32]) -> None:
        super().__init__(rules)
        self._text = text
        starts, hashes = _passages_of(text, rules.N)
        order = np.argsort(hashes, kind="stable")
        self._starts, self._hashes = starts[order], hashes[order]

    @property
    def nbytes(self) -> int:
        """See Passages.nbytes."""
        return self._text.nbytes + self._starts.nbytes + self._hashes.nbytes

    def following(self, context: npt.NDArray[np.int32]) -> npt.NDArray[np.integer]:
        """See ArrayPassages.following."""
        N = self.rules.N
        (of_context,) = _window_hashes(context, N)
        first, end = np.searchsorted(self._hashes, of_context), np.searchsorted(self._hashes, of_context, "right")
        starts = self._starts[first:end]
        same = (self._text[starts[:, None] + np.arange(N)] == context).all(1)
        return np.unique(self._text[starts[same] + N])


class ArrayFilter(ArrayPassages, PassageFilter):
    """A filter."""

    def __init__(self, rules: PassageRules, words: npt.NDArray[np.uint64]) -> None:
        super().__init__(rules)
        self.words = words

    def add(self, piece: npt.NDArray[np.int32]) -> None:
        """See PassageFilter.add."""
        starts, hashes = _passages_of(piece, self.rules.N)
        blocks = self._blocks_of(hashes)
        passage = _passage_bits(hashes, piece[starts + self.rules.N])
        for bits, count in ((mix_bits(~hashes), BITS_OF_CONTEXT), (passage, BITS_OF_PASSAGE)):
            for word, bit in _places(bits, count):
                np.bitwise_or.at(self.words, (blocks, word), bit)

    def following(self, context: npt.NDArray[np.int32]) -> npt.NDArray[np.integer]:
        """See ArrayPassages.following."""
        V = self.rules.vocab_size
        (of_context,) = _window_hashes(context, self.rules.N)
        block = self.words[int(self._blocks_of(of_context[None])[0])]
        if not _has_bits(block, mix_bits(~of_context[None]), BITS_OF_CONTEXT)[0]:
            return np.empty(0, np.int64)
        every = np.arange(V)
        bits = _passage_bits(np.full(V, of_context), every)
        is_found = _has_bits(block, bits, BITS_OF_PASSAGE) & (every != self.rules.free_id)
        found: npt.NDArray[np.integer] = every[is_found]
        return found

    def _blocks_of(self, hashes: _Hashes) -> npt.NDArray[np.int64]:
        blocks: npt.NDArray[np.int64] = ((mix_bits(hashes) >> 32) * np.uint64(len(self.words)) >> 32).astype(np.int64)
        return blocks


class ArrayLimit(CopyLimit):
    """The limit of one stream."""

    def __init__(self, passages: ArrayPassages) -> None:
        self._passages, self._recent = passages, np.empty(0, np.int32)
        self._due, self._range = 0, (0x80, 0xBF)  # continuation bytes that the last character lacks, and of the next
        self._is_changed = False

    def append(self, token_ids: npt.NDArray[np.int64]) -> None:
        """See CopyLimit.append."""
        self._recent = np.concatenate([self._recent, token_ids.astype(np.int32)])[-self._passages.rules.N :]
        if self._passages.rules.utf8_bytes is not None:
            for byte in self._passages.rules.utf8_bytes[token_ids].tolist():
                self._append_byte(byte)

    def forbid(self, log_probs: npt.NDArray[np.float64]) -> bool:
        """See CopyLimit.forbid."""
        forbidden = np.zeros(len(log_probs), bool)
        if len(self._recent) == self._passages.rules.N and not self._due:
            forbidden[self._passages.following(self._recent)] = True
        self._is_changed |= bool(forbidden.any())
        values = self._passages.rules.utf8_bytes
        if values is not None and self._is_changed:
            first, last = self._range
            is_begin = (values < 0x80) | ((values >= 0xC2) & (values <= 0xF4))
            forbidden |= ~((values >= first) & (values <= last) if self._due else is_begin)
        log_probs[forbidden] = -np.inf
        return bool(forbidden.any())

    def copy(self) -> ArrayLimit:
        """See CopyLimit.copy."""
        return copy.copy(self)  # what it refers to is never changed in place

    def _append_byte(self, byte: int) -> None:
        """append_byte of kernel_passages.h."""
        first, last = self._range
        if self._due and first <= byte <= last:
            self._due -= 1
        else:
            self._due = 0 if byte > 0xF4 else (byte >= 0xC2) + (byte >= 0xE0) + (byte >= 0xF0)
        self._range = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(
            byte, (0x80, 0xBF)
        )


def _passages_of(text: npt.NDArray[np.int32], N: int) -> tuple[npt.NDArray[np.int64], _Hashes]:
    """Where N+1 characters without a gap begin, and the hashes of the first N of each."""
    if len(text) <= N:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    gaps = np.concatenate([[0], np.cumsum(text < 0)])
    starts = np.flatnonzero(gaps[N + 1 :] == gaps[: -N - 1])
    return starts, _window_hashes(text, N)[starts]


def _window_hashes(text: npt.NDArray[np.int32], N: int) -> _Hashes:
    """The hash of each N characters in a row: rotations of the characters' hashes, the last one's by 0."""
    at = np.arange(1, len(text) + 1, dtype=np.uint64)
    upto = np.concatenate(
        [np.zeros(1, np.uint64), np.bitwise_xor.accumulate(_rotate(mix_bits(text.astype(np.uint64)), -at))]
    )
    return _rotate(upto[N:] ^ upto[:-N], at[N - 1 :])


def _rotate(values: _Hashes, by: _Hashes) -> _Hashes:
    """Rotate to the left."""
    by = by & np.uint64(63)
    return values << by | values >> (-by & np.uint64(63))


def _passage_bits(hashes: _Hashes, following: npt.NDArray[np.integer]) -> _Hashes:
    return mix_bits(hashes + mix_bits(~following.astype(np.uint64)))


def _places(bits: _Hashes, count: int) -> list[tuple[_Hashes, _Hashes]]:
    """(word, bit) of each of the bits that a hash selects in a block."""
    found = []
    for k in range(count):
        nine = bits >> np.uint64(9 * k)
        found.append((nine >> np.uint64(6) & np.uint64(7), np.uint64(1) << (nine & np.uint64(63))))
    return found


def _has_bits(block: npt.NDArray[np.uint64], bits: _Hashes, count: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.logical_and.reduce([block[word] & bit != 0 for word, bit in _places(bits, count)])
    return found
