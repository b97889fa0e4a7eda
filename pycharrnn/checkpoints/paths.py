"""Which checkpoint the argument CKPT_OR_DIR of a command means, and short names for several."""

from __future__ import annotations

import os

from compat.plain_text import printable
from pycharrnn.common.errors import UserError

_CACHES = {"vocab.t7", "data.t7"}  # what preprocessing leaves beside input.txt


def newest(path: str) -> str:
    """`path` itself, or of a folder its newest checkpoint (.t7 or .safetensors).

    Errors: UserError for a folder without one.
    """
    if not os.path.isdir(path):
        return path
    with os.scandir(path) as entries:
        found = [(e.stat().st_mtime_ns, not _is_second_name(e.name), e.path) for e in entries if _may_be_checkpoint(e)]
    if not found:
        raise UserError(f"the folder {path} has no checkpoint (.t7 or .safetensors): name one, or another folder.")
    return max(found)[-1]


def _may_be_checkpoint(entry: os.DirEntry[str]) -> bool:
    """Whether a file has the name of a checkpoint; neither a cache nor a file that is still being written has."""
    name = entry.name
    return name.endswith((".t7", ".safetensors")) and name not in _CACHES and name[0] != "." and entry.is_file()


def _is_second_name(name: str) -> bool:
    """Whether this is a name that training gives to a checkpoint beside the one with its epoch and loss."""
    return name.endswith(("_latest.t7", "_best.t7"))


def short_names(paths: list[str]) -> list[str]:
    """Names by which a person tells the files apart: without ending, and with as few folders as that takes.

    Bytes that are no UTF-8 are shown as U+FFFD, and control characters as escapes.

    Example:
        >>> short_names(["a/lm_x.t7", "b/lm_x.t7", "b/lm_y.t7"])
        ['a/lm_x', 'b/lm_x', 'lm_y']
    """
    parts = [os.path.splitext(os.path.normpath(path))[0].split(os.sep) for path in paths]
    names = []
    for own in parts:
        depth = 1
        while depth < len(own) and sum(own[-depth:] == other[-depth:] for other in parts) > 1:
            depth += 1
        name = "/".join(own[-depth:]).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        names.append(printable(name, len(name) * 10))
    return names
