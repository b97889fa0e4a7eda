"""The fingerprint of a text, its size and SHA-256, by which a run recognises its text."""

from __future__ import annotations

import hashlib
import os
import re

MAX_HASHED = 1 << 30  # bytes; of a longer text, blocks are hashed
_BLOCKS, _BLOCK = 1024, 1 << 20
_LONG_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


class TextHash:
    """Computes the fingerprint of a text that arrives in pieces; `size`: bytes so far."""

    def __init__(self) -> None:
        self.size, self._digest = 0, hashlib.sha256()

    def update(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size <= MAX_HASHED:
            self._digest.update(piece)

    def fingerprint(self) -> str:
        """The fingerprint; "" for a text of more than MAX_HASHED bytes, see `fingerprint_of_blocks`."""
        return "" if self.size > MAX_HASHED else f"{self.size} bytes, SHA-256 {self._digest.hexdigest()}"


def fingerprint_of_blocks(path: str | os.PathLike[str]) -> str:
    """The fingerprint of a text of more than MAX_HASHED bytes. Errors: OSError.

    It hashes 1,024 evenly spaced blocks of 1 MiB, first and last included. That takes a second, and detects another
    text or an insertion, but not a change between the blocks that keeps the size.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        for k in range(_BLOCKS):
            f.seek((size - _BLOCK) * k // (_BLOCKS - 1))
            digest.update(f.read(_BLOCK))
    return f"{size} bytes, SHA-256 of {_BLOCKS} blocks {digest.hexdigest()}"


def with_short_hash(words: str) -> str:
    """Words that may have a fingerprint, with 8 digits of its hash, enough to tell texts apart."""
    return _LONG_HASH.sub(r"\1", words)
