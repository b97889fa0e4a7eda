"""What an index of passages is: its rules, and the limit of a stream that must not copy; see passages.py.

kernel_passages.py and array_passages.py have the classes that compute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BITS_OF_CONTEXT = 4
BITS_OF_PASSAGE = 4


class CopyLimit(ABC):
    """One stream that must not copy passages: remembers its last N characters."""

    @abstractmethod
    def append(self, token_ids: npt.NDArray[np.int64]) -> None:
        """Read characters of the stream, (T,)."""

    @abstractmethod
    def forbid(self, log_probs: npt.NDArray[np.float64]) -> bool:
        """Set to -infinity, in place, the characters that may not follow, (V,). Returns whether any is."""

    @abstractmethod
    def copy(self) -> CopyLimit:
        """The same limit after the same characters, for a stream that goes on differently."""


@dataclass(frozen=True, eq=False)
class PassageRules:
    """What a copy is, for one model and one N.

    Attributes:
        N: how many characters in a row may be copied.
        vocab_size: V.
        free_id: a token id that completes no passage; -1 for none.
        utf8_bytes: uint8 (V,), the byte of each token id in a model of the bytes of UTF-8; None in other models.

    Errors: ValueError for an N below 1, or other `utf8_bytes`.
    """

    N: int
    vocab_size: int
    free_id: int = -1
    utf8_bytes: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.N < 1:
            raise ValueError(f"N must be at least 1, not {self.N}")
        found = self.utf8_bytes
        if found is not None and (found.shape != (self.vocab_size,) or found.dtype != np.uint8):
            raise ValueError(f"utf8_bytes must be uint8 ({self.vocab_size},)")


class Passages(ABC):
    """The passages of one text."""

    def __init__(self, rules: PassageRules) -> None:
        self.rules = rules

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes in memory."""

    @abstractmethod
    def limit(self) -> CopyLimit:
        """A limit for a stream that has read nothing."""


class PassageFilter(Passages):
    """The passages of a text as bits. `words`: uint64 (blocks, 8)."""

    words: npt.NDArray[np.uint64]

    @property
    def nbytes(self) -> int:
        """See Passages.nbytes."""
        return self.words.nbytes

    @abstractmethod
    def add(self, piece: npt.NDArray[np.int32]) -> None:
        """Add the passages within a piece of the text. Ids as for `index`."""
