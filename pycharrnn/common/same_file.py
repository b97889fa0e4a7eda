"""Whether two paths are one file."""

from __future__ import annotations

import os


def same_file(a: str, b: str) -> bool:
    """Whether two paths are one existing file or folder; False if either is not there or can't be a path."""
    try:
        return os.path.samefile(a, b)
    except (OSError, ValueError):  # ValueError: a file may record a path with a NUL
        return False
