"""Which text a run was trained on: its size and hash, so that another text is noticed."""

from __future__ import annotations

import hashlib
import os

from pycharrnn.common.errors import UserError

_WHOLE_HASH = 1 << 30  # bytes of text that are hashed to the last; beyond, blocks of it
_BLOCKS, _BLOCK = 1024, 1 << 20


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Size and SHA-256 of a text, as words that differ where the texts do.

    Beyond 1 GiB, only 1024 blocks of 1 MiB, evenly spaced, first and last included, are hashed: enough to notice
    another text or an insertion, whatever the size, in a second.

    Errors: UserError.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            if size <= _WHOLE_HASH:
                while piece := f.read(_BLOCK):
                    digest.update(piece)
                return f"{size} bytes, SHA-256 {digest.hexdigest()}"
            for k in range(_BLOCKS):
                f.seek((size - _BLOCK) * k // (_BLOCKS - 1))
                digest.update(f.read(_BLOCK))
    except OSError as e:
        raise UserError(f"can't read {path}: {e.strerror or e}.") from e
    return f"{size} bytes, SHA-256 of {_BLOCKS} blocks {digest.hexdigest()}"
