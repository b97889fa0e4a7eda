"""Deleted files, which lie in trash/ID until they are brought back: a list of their places first, then the files."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ValidationError

from pycharrnn.checkpoints.folder_files import may_be_checkpoint
from pycharrnn.common import folder_walk
from pycharrnn.common.display import join_words
from pycharrnn.server.studio import run_command, studio_paths
from pycharrnn.server.studio.run_schemas import Deleted, FilesToDelete, TrashEntry
from pycharrnn.server.studio.studio_paths import CHECKPOINTS, MODELS, RUNS, TEXTS, TRASH, Refusal


class _Listed(BaseModel):
    """The content of trash.json. moved: (original path, path in the trash) of each file or folder."""

    what: str
    kind: Literal["run", "model"]
    run: str  # its id, or ""
    deleted: float
    moved: list[tuple[str, str]]
    bytes: int


def facts_of(paths: Sequence[str]) -> FilesToDelete:
    """The files at some paths, and below them."""
    counted = set[object]()
    return FilesToDelete(files=list(paths), bytes=sum(_size(path, counted) for path in paths))


def delete(paths: Sequence[str], what: str, kind: Literal["run", "model"], run_id: str = "") -> Deleted:
    """Move the files and folders that are still there to the trash, all or none. `what`: a name for them.

    Errors: Refusal, also if none is there.
    """
    trash_id = studio_paths.new_id("d")
    folder = f"{TRASH}/{trash_id}"
    # With slashes, as the list is checked when it is read.
    paths = [path.replace(os.sep, "/") for path in paths if os.path.lexists(path)]
    if not paths:
        raise Refusal(404, f"the files of {what} are gone already: there is nothing to delete.")
    moved = [(path, f"{folder}/files/{number}_{os.path.basename(path)}") for number, path in enumerate(paths)]
    size, now = facts_of(paths).bytes, time.time()
    listed = _Listed(what=what, kind=kind, run=run_id, deleted=now, moved=moved, bytes=size)
    try:
        os.makedirs(f"{folder}/files")
        studio_paths.write_json(f"{folder}/trash.json", listed.model_dump())
        _move_all(moved)
    except OSError as e:
        # Else the trash has what could not be moved back.
        if all(os.path.lexists(path) or not os.path.lexists(stored) for path, stored in moved):
            shutil.rmtree(folder, ignore_errors=True)
        raise studio_paths.refusal_of(e, f"can't move {what} to {TRASH}") from e
    named = join_words(paths, 3)
    them = "it" if len(paths) == 1 else "them"
    return Deleted(trash=trash_id, files=list(paths), sentence=f"moved {named} to {folder}; Undo brings {them} back.")


def undo(trash_id: str) -> tuple[list[str], str]:
    """Move files back. Returns: their paths, and the id of their run or "". Errors: Refusal."""
    listed = _listed(trash_id)
    if listed is None:
        raise Refusal(404, "this is not in the trash any more.")
    back = [(stored, path) for path, stored in listed.moved if os.path.lexists(stored)]
    for _, path in back:
        if os.path.lexists(path):
            raise Refusal(409, f"{path} is there again: move it away first, or leave this in the trash.")
    try:
        for _, path in back:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        _move_all(back)
    except OSError as e:
        raise studio_paths.refusal_of(e, f"can't bring back {listed.what}") from e
    shutil.rmtree(f"{TRASH}/{trash_id}", ignore_errors=True)
    return [path for _, path in back], listed.run


def entries() -> list[TrashEntry]:
    """What is in the trash, deleted last first."""
    found = []
    for trash_id in studio_paths.names_in(TRASH):
        if listed := _listed(trash_id):
            files = [path for path, _ in listed.moved]
            found.append(TrashEntry(trash=trash_id, files=files, **listed.model_dump(exclude={"run", "moved"})))
    return sorted(found, key=lambda entry: entry.deleted, reverse=True)


def names_of_runs() -> set[str]:
    return {entry.what for entry in entries() if entry.kind == "run"}


def _move_all(moves: Sequence[Sequence[str]]) -> None:
    """Move (from, to) each; at an error move back. Errors: OSError."""
    done: list[tuple[str, str]] = []
    try:
        for source, target in moves:
            _move(source, target)
            done.append((source, target))
    except OSError:
        for source, target in reversed(done):
            with contextlib.suppress(OSError):
                _move(target, source)
        raise


def _move(source: str, target: str) -> None:
    """Move a file or a folder, whole or not at all; on Windows, shutil.move would leave parts of it in both places."""
    try:
        os.rename(source, target)
    except OSError as e:
        if e.errno != errno.EXDEV:  # another disk
            raise
        shutil.move(source, target)


def _listed(trash_id: str) -> _Listed | None:
    """What was moved to a folder of the trash; None if its list is missing or damaged."""
    if not studio_paths.is_id(trash_id, "d"):
        return None
    try:
        found = _Listed.model_validate(studio_paths.read_json(f"{TRASH}/{trash_id}/trash.json"))
    except ValidationError:
        return None
    return found if _is_safe(found.moved, f"{TRASH}/{trash_id}/files") else None


def _is_safe(moved: Sequence[tuple[str, str]], files: str) -> bool:
    """Whether a list, which may be a stranger's, has pairs of a path that `delete` is given and one of a file in
    `files`, which is no link to another folder."""
    paths = [path for pair in moved for path in pair]
    return (
        len(paths) == len(set(paths))
        and not os.path.islink(files)
        and all(path == os.path.normpath(path).replace(os.sep, "/") for path in paths)
        and all(map(studio_paths.is_argument, paths))
        and all(_may_be_deleted(path) and os.path.dirname(stored) == files for path, stored in moved)
    )


def _may_be_deleted(path: str) -> bool:
    """Whether a path is that of a checkpoint or log, of a run's folder, or of an upload's folder or description."""
    folder, name = os.path.split(path)
    if folder in (CHECKPOINTS, MODELS):
        return may_be_checkpoint(name) or name.endswith(run_command.LOG_ENDING)
    return (folder == RUNS and studio_paths.is_id(name, "r")) or (
        folder == TEXTS and studio_paths.is_id(name.removesuffix(".json"), "t")
    )


def _size(path: str, counted: set[object]) -> int:
    """Size in bytes of a file, or of all files below a folder; what can't be read, or is gone, counts as 0.

    `counted`: the files that have been counted, each once however many hard links lead to it.
    """
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            return sum(_size(os.path.join(path, name), counted) for name in os.listdir(path))
        status = os.lstat(path)
    except OSError:
        return 0
    file = folder_walk.file_id(path, status)
    if file in counted:
        return 0
    counted.add(file)
    return status.st_size
