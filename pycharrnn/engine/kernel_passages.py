"""The index of passages in C; see passages.py and kernel_passages.h."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.engine import indices, kernel_library
from pycharrnn.engine.kernel_arrays import address
from pycharrnn.engine.kernel_structures import FILTER_WORDS, CopyLimitStruct, PassagesStruct
from pycharrnn.engine.passage_index import CopyLimit, PassageFilter, PassageRules, Passages

if TYPE_CHECKING:
    import numpy.typing as npt

_CHARACTERS_PER_BUCKET = 2  # up to twice as many


class KernelPassages(Passages):
    """Passages in C. `structure`: struct passages; its arrays must stay alive."""

    def __init__(self, rules: PassageRules) -> None:
        super().__init__(rules)
        library = kernel_library.library()
        assert library is not None  # else this class is not chosen
        self.library = library
        self.structure = PassagesStruct(rules.N, rules.vocab_size, rules.free_id)
        if rules.utf8_bytes is not None:
            self._utf8_bytes = np.ascontiguousarray(rules.utf8_bytes)
            self.structure.bytes = self._utf8_bytes.ctypes.data

    def limit(self) -> KernelLimit:
        """See Passages.limit."""
        return KernelLimit(self)


class KernelIndex(KernelPassages):
    """An exact index. `text`: its token ids, -1 for a gap."""

    def __init__(self, rules: PassageRules, text: npt.NDArray[np.int32]) -> None:
        super().__init__(rules)
        self._text = text
        bits = max(1, (len(text) // _CHARACTERS_PER_BUCKET).bit_length() - 1)
        self._starts, self._places = np.empty((1 << bits) + 1, np.uint32), np.empty(max(1, len(text)), np.uint32)
        structure = self.structure
        structure.length, structure.text, structure.bucket_bits = len(text), text.ctypes.data, bits
        structure.starts, structure.places = self._starts.ctypes.data, self._places.ctypes.data
        self.library.charrnn_index_passages(ctypes.byref(structure))
        self._places = self._places[: self._starts[-1]].copy()
        structure.places = self._places.ctypes.data

    @property
    def nbytes(self) -> int:
        """See Passages.nbytes."""
        return self._text.nbytes + self._starts.nbytes + self._places.nbytes


class KernelFilter(KernelPassages, PassageFilter):
    """A filter. Errors: ValueError for words of another shape or dtype."""

    def __init__(self, rules: PassageRules, words: npt.NDArray[np.uint64]) -> None:
        super().__init__(rules)
        is_filter = words.dtype == np.uint64 and words.ndim == 2 and words.shape[1] == FILTER_WORDS
        if not is_filter or not len(words) or not words.flags.c_contiguous:
            raise ValueError(f"a filter must be uint64 (blocks, {FILTER_WORDS})")
        self.words = words
        self.structure.blocks, self.structure.filter = len(words), words.ctypes.data

    def add(self, piece: npt.NDArray[np.int32]) -> None:
        """See PassageFilter.add."""
        self.structure.text, self.structure.length = piece.ctypes.data, len(piece)
        self.library.charrnn_filter_passages(ctypes.byref(self.structure))
        self.structure.text = None


class KernelLimit(CopyLimit):
    """The limit of one stream. `structure`: struct copy_limit, which C changes while it samples."""

    def __init__(self, passages: KernelPassages) -> None:
        self.passages = passages
        self._recent = np.zeros(passages.rules.N, np.int32)
        self.structure = CopyLimitStruct(ctypes.addressof(passages.structure), self._recent.ctypes.data)

    def append(self, token_ids: npt.NDArray[np.int64]) -> None:
        """See CopyLimit.append. Errors: as indices.check_indices."""
        if not len(token_ids):
            return
        ids = indices.check_indices("the characters", token_ids, (len(token_ids),), self.passages.rules.vocab_size)
        self.passages.library.charrnn_append(ctypes.byref(self.structure), ids.ctypes.data, len(ids))

    def forbid(self, log_probs: npt.NDArray[np.float64]) -> bool:
        """See CopyLimit.forbid. Errors: as kernel_arrays.address."""
        of_log_probs = address("log_probs", log_probs, np.float64, (self.passages.rules.vocab_size,))
        self.passages.library.charrnn_forbid(ctypes.byref(self.structure), of_log_probs)
        return bool(self.structure.forbidden)

    def copy(self) -> KernelLimit:
        """See CopyLimit.copy."""
        copied = KernelLimit(self.passages)
        copied._recent[:] = self._recent
        recent = copied.structure.recent
        copied.structure = CopyLimitStruct.from_buffer_copy(self.structure)
        copied.structure.recent = recent
        return copied
