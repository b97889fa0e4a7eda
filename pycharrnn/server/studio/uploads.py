"""Texts that were uploaded, each in a folder below studio/texts until a run uses it; and files on their way to disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, TypeVar

from compat.atomic_write import atomic_write
from pycharrnn.common.display import escape_line, join_words
from pycharrnn.common.numbered_names import numbered
from pycharrnn.server.studio import studio_paths
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.text import labels
from pycharrnn.text.corpus import safe_name

MAX_FILES = 5000  # of a text
_MAX_DEPTH = 8  # folders
_MAX_NAMED = 50  # files and folders on a command line; of more, the folder that holds them is named
_LOOSE = "input"  # folder of files of several folders, or of none; `train` may name their text after it
_PIECE = 1 << 20  # bytes in memory
_ENDING = re.compile(r"\.\w{1,12}", re.ASCII)

_Result = TypeVar("_Result")


async def receive(stream: AsyncIterator[bytes], path: str) -> int:
    """Write a request's body to a file, which appears whole or not at all. Returns: bytes. Errors: OSError.

    Whatever `stream` raises, such as a disconnected client, is raised.
    """
    size, waiting = 0, bytearray()
    with contextlib.ExitStack() as files:
        f = await _in_thread(files.enter_context, atomic_write(path))
        async for piece in stream:
            waiting += piece
            size += len(piece)
            if len(waiting) >= _PIECE:
                await _in_thread(f.write, bytes(waiting))
                waiting.clear()
        await _in_thread(f.write, bytes(waiting))
        await _in_thread(files.close)  # which waits for the disk
    return size


async def _in_thread(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """As asyncio.to_thread; when it is cancelled, it ends after the function: a thread may still use the open file."""
    running = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(running)
    finally:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])


def check_space(size: int, what: str) -> None:
    """Errors: Refusal if the disk has no room for a file of `size` bytes."""
    if size > shutil.disk_usage(".").free:
        raise studio_paths.full_disk(what)


class Texts:
    """The uploaded texts. Names from clients choose among names of files; they never are paths."""

    def __init__(self) -> None:
        # Text id -> the names that its files have or will have, in lower case: on some systems A and a are one name.
        self._taken: dict[str, set[str]] = {}
        self._in_use: set[str] = set()
        self._begun: dict[str, float] = {}  # text id -> time.monotonic()
        # Text id -> path below its folder -> the client's name; and a client's folder -> path below the text's folder.
        self._given: dict[str, dict[str, str]] = {}
        self._folders: dict[str, dict[str, str]] = {}

    def new(self, name: str, is_folder: bool) -> str:
        """Begin a text. `name`: of the folder that holds all its files. Returns: its id. Errors: OSError."""
        text_id = studio_paths.new_id("t")
        os.makedirs(_folder(text_id))
        described: dict[str, Any] = {
            "folder": safe_name(name) if is_folder else "",
            "given": _parts(name) if is_folder else [],
        }
        studio_paths.write_json(f"{_folder(text_id)}.json", described)
        self._taken[text_id], self._begun[text_id] = set(), time.monotonic()
        self._given[text_id] = {described["folder"]: name} if is_folder else {}
        return text_id

    def path_for(self, text_id: str, name: str) -> str:
        """A free path for the file of a client's `name`, which may have folders. Errors: Refusal; OSError."""
        described = self._described(text_id)
        if text_id in self._in_use:
            raise Refusal(409, "a run uses this text already: drop the files again, as a new text.")
        taken = self._taken.setdefault(text_id, set())
        if len(taken) >= MAX_FILES:
            raise Refusal(422, f"a text has {MAX_FILES:,} files at most; join some, or leave some out.")
        *folders, file = _parts(name) or [""]
        own = described.get("given", [])  # of a text in a folder: what its files' names begin with
        if folders[: len(own)] != own:
            text = f"the folder {escape_line('/'.join(own))} of this text"
            raise Refusal(422, f"{escape_line(name)} is not in {text}: begin another text for it.")
        whole = self._folder_for(text_id, described["folder"], folders[len(own) :])
        stem, ending = os.path.splitext(f"{whole}/{_safe(file, bool(described['folder']))}")
        path = _free(stem, ending, taken | self._names_of_folders(text_id))
        taken.add(path.lower())
        self._given.setdefault(text_id, {})[path] = name
        whole = f"{_folder(text_id)}/{path}"
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        return whole

    def _folder_for(self, text_id: str, root: str, folders: list[str]) -> str:
        """The path below `root` for a client's nested `folders`; folders whose safe names are equal stay apart."""
        kept, path = self._folders.setdefault(text_id, {}), root or _LOOSE
        for depth, part in enumerate(folders[: _MAX_DEPTH - 1], 1):
            given = "/".join(folders[:depth])
            if given not in kept:
                others = self._taken.get(text_id, set()) | self._names_of_folders(text_id)
                kept[given] = _free(f"{path}/{_safe(part, bool(root))}", "", others)
            path = kept[given]
        return path

    def _names_of_folders(self, text_id: str) -> set[str]:
        """In lower case: on some systems A and a are one name."""
        return {path.lower() for path in self._folders.get(text_id, {}).values()}

    def use(self, text_id: str) -> None:
        """Take no more files for a text, which a run uses."""
        self._in_use.add(text_id)

    def give_up(self, text_id: str, path: str) -> None:
        """Free a path that no file was written to."""
        self._taken.get(text_id, set()).discard(path.removeprefix(f"{_folder(text_id)}/").lower())

    def paths(self, text_id: str) -> list[str]:
        """What to train on: the files and folders that were dropped, or the folder that holds them. Errors: Refusal."""
        described = self._described(text_id)
        whole = f"{_folder(text_id)}/{described['folder'] or _LOOSE}"
        if described["folder"]:
            return [whole]
        dropped = [
            f"{whole}/{name}"
            for name in sorted(studio_paths.names_in(whole))
            if not name.startswith(".") and _has_file(f"{whole}/{name}")
        ]
        if not dropped:
            raise Refusal(422, "there is no text yet: drop a file, or paste one.")
        return dropped if len(dropped) <= _MAX_NAMED else [whole]

    def renamed(self, text_id: str, label: str) -> str:
        """A sentence on the names that were changed and are labels; "" without such names.

        `label`: the value of -label.
        """
        if label not in labels.FROM_PATH:
            return ""
        part = labels.FROM_PATH[label]
        paths = [(_parts(given), kept.split("/")) for kept, given in self._given.get(text_id, {}).items()]
        names = dict.fromkeys(
            (given[part], kept[part]) for given, kept in paths if len(kept) > 1 and len(given) >= -part
        )
        changed = [f"{escape_line(given)} is {kept}" for given, kept in names if kept != given]
        if not changed:
            return ""
        return f"names were changed to be safe and distinct, and labels follow the new names: {join_words(changed)}."

    def without_folder(self, text_id: str, sentence: str) -> str:
        """A sentence about a text, with the names of its files as the client has them."""
        given = self._given.get(text_id, {})  # none of a text that an earlier server received

        def named(found: re.Match[str]) -> str:
            path = found[1].rstrip(".")
            return escape_line(given.get(path, path.removeprefix(f"{_LOOSE}/"))) + found[1][len(path) :]

        return re.sub(rf"{re.escape(_folder(text_id))}/([\w./-]+)", named, sentence)

    def files_of(self, text_id: str) -> list[str]:
        """The paths of a text's folder and description; [] if they were removed."""
        return [path for path in (_folder(text_id), f"{_folder(text_id)}.json") if os.path.lexists(path)]

    def remove_all_but(self, used: Collection[str]) -> None:
        """Remove the texts that no run uses."""
        for name in studio_paths.names_in(studio_paths.TEXTS):
            text_id = name.removesuffix(".json")
            if studio_paths.is_id(text_id, "t") and text_id not in used:  # others may be a user's own files
                _remove(f"{studio_paths.TEXTS}/{name}")

    def remove_abandoned(self, seconds: float) -> None:
        """Remove the texts that this process received so long ago, and that no run has used since."""
        for text_id, begun in list(self._begun.items()):
            if text_id not in self._in_use and time.monotonic() - begun < seconds:
                continue
            del self._begun[text_id]
            if text_id in self._in_use:
                continue
            for path in self.files_of(text_id):
                _remove(path)
            for known in (self._taken, self._given, self._folders):
                known.pop(text_id, None)

    def _described(self, text_id: str) -> dict[str, Any]:
        described = studio_paths.is_id(text_id, "t") and studio_paths.read_json(f"{_folder(text_id)}.json")
        if not described:
            raise Refusal(404, "this text is not here any more: drop it again.")
        return described


def _remove(path: str) -> None:
    """Remove a folder or a file, if possible."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)


def _parts(name: str) -> list[str]:
    """The parts of a client's path, without those that lead elsewhere."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _free(stem: str, ending: str, taken: Collection[str]) -> str:
    """The path of stem and ending, with a number between them if it is among `taken`, in lower case."""
    return next(path for path in numbered(stem, ending) if path.lower() not in taken)


def _has_file(path: str) -> bool:
    """Whether a path is a file, or a folder with a file that is not hidden."""
    if not os.path.isdir(path):
        return True
    return any(not name.startswith(".") for _, _, names in os.walk(path) for name in names)


def _folder(text_id: str) -> str:
    return f"{studio_paths.TEXTS}/{text_id}"


def safe_file_name(name: str) -> str:
    """As safe_name, with the ending of a name that is too long.

    Example:
        >>> safe_file_name("a b.t7"), len(safe_file_name(f"{'x' * 300}.html"))
        ('a_b.t7', 85)
    """
    stem, ending = os.path.splitext(name.strip())
    if not _ENDING.fullmatch(ending):
        return safe_name(name)
    return safe_name(stem) + ending


def _safe(part: str, may_be_hidden: bool) -> str:
    """A part of a path as a safe name. A hidden file of a dropped folder stays hidden, so that it is left out."""
    return f".{safe_name(part)}" if may_be_hidden and part.startswith(".") else safe_file_name(part)
