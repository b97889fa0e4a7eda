"""The folder of `pycharrnn studio`, which is the current one: where everything is in it, and its ids and JSON files."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from typing import Any

from pycharrnn.common import file_lock, regular_files
from pycharrnn.common.errors import UserError
from pycharrnn.common.output_folder import is_disk_full

CHECKPOINTS = "cv"  # as by default in `train`
MODELS = "models"  # brought ones
TRASH = "trash"
TEXTS, RUNS = "studio/texts", "studio/runs"
INCOMING, OUTGOING = "studio/incoming", "studio/outgoing"  # of single requests
LOCK = "studio/.lock"
LINK = "studio/.open.html"  # leads the browser to the page
_LEAST_FREE = 1 << 20  # bytes
_ID = re.compile(r"[a-z][0-9a-f]{8}")


class Refusal(Exception):
    """A request that can't be met; the message is a sentence for the client, `status` the HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def make_folders() -> list[str]:
    """Create the studio's folders that do not exist. Returns: those created, parents first. Errors: OSError."""
    folders = ("studio", CHECKPOINTS, MODELS, TRASH, TEXTS, RUNS, INCOMING, OUTGOING)
    missing = [folder for folder in folders if not os.path.isdir(folder)]
    for folder in missing:
        os.makedirs(folder, exist_ok=True)
    return missing


def lock() -> int:
    """Keep other servers out of this folder until this process ends. Returns: a descriptor. Errors: UserError."""
    try:
        return file_lock.acquire(LOCK)
    except file_lock.LockHeld as e:
        holder = e.holder and f" ({e.holder})"
        raise UserError(
            f"another pycharrnn studio{holder} has {os.getcwd()} open: use its page, or name another folder."
        ) from None
    except OSError as e:
        path = os.path.join(os.getcwd(), e.filename if isinstance(e.filename, str) else "studio")
        raise UserError(f"can't write to {path} ({e.strerror or e}): name another folder.") from e


def new_id(kind: str) -> str:
    """An id that can't be guessed and is safe as a file name. `kind`: its first letter."""
    return kind + secrets.token_hex(4)


def is_id(text: str, kind: str) -> bool:
    return text.startswith(kind) and _ID.fullmatch(text) is not None


def names_in(folder: str) -> list[str]:
    """The names in a folder; [] if it was removed. Errors: OSError of a folder that is there."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a regular file; None without one, or if it is damaged."""
    try:
        with open(path, "rb", opener=regular_files.opener) as f:
            found = json.load(f)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: str, value: dict[str, Any]) -> None:
    """Errors: OSError."""
    with regular_files.atomic_write(path) as f:
        f.write(json.dumps(value, indent=1).encode() + b"\n")


def is_argument(text: str) -> bool:
    """Whether the system can take a text as a path or as a word of a command: it can be encoded, and has no NUL."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def is_full() -> bool:
    """Whether the disk has no room for the files with which a training begins; False if that is unknown."""
    try:
        disk = shutil.disk_usage(".")
    except OSError:
        return False
    return disk.total > 0 and disk.free < _LEAST_FREE


def refusal_of(error: OSError, what: str) -> Refusal:
    """The refusal for a file that can't be written. `what`: "can't keep the text"."""
    if is_disk_full(error):
        return full_disk(what)
    return Refusal(500, f"{what} ({error.strerror or error}).")


def full_disk(what: str) -> Refusal:
    """The refusal for a file for which the disk has no room. `what`: as for refusal_of."""
    return Refusal(507, f"{what}: the disk is full. Make room, and try again.")
