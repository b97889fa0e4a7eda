"""Resolves the argument CKPT_OR_DIR of the commands, and prints which checkpoint of a folder was chosen."""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint, formats, run_names
from pycharrnn.common import folder_walk, losses
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError

Note = Callable[[str], None]  # prints a line on stderr

_CACHE = re.compile(r"(vocab|data)(_utf8)?(_without_\w+)?\.t7")  # the cache beside input.txt


@dataclass(frozen=True)
class File:
    """A file in a folder that may be a checkpoint, described by its names.

    Attributes:
        path: the most descriptive name. run: first part of the names of its run, lm_lstm; "" for other names.
        epoch: -1 if unknown. loss: None if unknown. modified: in nanoseconds.
        is_best: whether one of the names is that of its run's best checkpoint.
    """

    path: str
    run: str
    epoch: float
    loss: float | None
    modified: int
    is_best: bool


def newest_first(folder: str, note: Note = lambda line: None) -> list[File]:
    """The checkpoints in a folder, each once. Links that can't be followed are skipped, with a note.

    Errors: UserError for a folder that can't be read or has no checkpoint.
    """

    def skipped(path: str, why: str) -> None:
        note(f"skipped {escape_line(path)}: {why}")

    try:
        found = folder_walk.list_folder(folder, skipped, _may_be_checkpoint)
    except OSError as e:
        raise UserError(f"can't look for checkpoints in {folder} ({e.strerror}).") from e
    status = {path: status for path, status in found if stat.S_ISREG(status.st_mode)}
    if not status:
        endings = formats.in_words(formats.IN_FOLDERS)
        raise UserError(f"the folder {folder} has no checkpoint ({endings}): name one, or another folder.")
    files = [_file(names, status[names[0]].st_mtime_ns) for names in _by_file(status)]
    return sorted(files, key=lambda file: (file.modified, file.epoch, file.path), reverse=True)


def best_first(folder: str, note: Note) -> list[File]:
    """The checkpoints in a folder by validation loss, of the file's name or else the file; those without one come last.

    Unreadable files are skipped, with a note. Errors: UserError, as newest_first.
    """
    files = []
    for file in newest_first(folder, note):
        if file.loss is not None:
            files.append(file)
        elif loaded := _loaded(file.path, note):
            files.append(replace(file, loss=validation_loss(loaded)))
    return sorted(files, key=_rank)


def load_best(path: str, note: Note) -> tuple[str, Checkpoint]:
    """(path, checkpoint) of `path`, or of the lowest validation loss in a folder. Errors: UserError if unreadable."""
    if not os.path.isdir(path):
        return path, checkpoint.load(path)
    files = best_first(path, note)
    for file, loaded in _whole(files, note):
        why = "newest, since none has a validation loss," if file.loss is None else "lowest validation loss"
        say_choice(note, path, file, why, len(files))
        return file.path, loaded
    raise _none_whole(path)


def load_every(paths: Sequence[str], note: Note) -> Iterator[tuple[str, Checkpoint]]:
    """Load the checkpoints at some paths, and all in folders among them, each file once. Errors: as load_best."""
    folders = {file.path: path for path in paths if os.path.isdir(path) for file in _every(path, note)}
    named = [path for path in paths if not os.path.isdir(path)]
    without = set(folders.values())  # folders without a readable checkpoint
    for path, names in _each_once([*named, *folders]).items():
        for other in names:
            if other in named:
                note(f"{escape_line(other, None)} is a second name of {escape_line(path, None)}")
        loaded = checkpoint.load(path) if path in named else _loaded(path, note)
        if loaded:
            without -= {folders.get(name, "") for name in (path, *names)}
            yield path, loaded
    for folder in without:
        raise _none_whole(folder)


def load_runs(path: str, note: Note) -> Iterator[tuple[str, Checkpoint]]:
    """As load_best, but load the newest checkpoint of each run in a folder, sorted by the runs' names."""
    if not os.path.isdir(path):
        yield path, checkpoint.load(path)
        return
    runs: dict[str, list[File]] = {}
    for file in newest_first(path, note):
        runs.setdefault(file.run or os.path.basename(file.path), []).append(file)
    read = 0
    for _, files in sorted(runs.items()):
        for file, loaded in _whole(files, note):
            read += 1
            say_choice(note, path, file, "newest, with the losses of its whole run,", len(files))
            yield file.path, loaded
            break
    if not read:
        raise _none_whole(path)


def say_choice(note: Note, folder: str, file: File, why: str, count: int) -> None:
    """Print the choice: "cv: lm_x_epoch8.00_1.2400.t7, the newest of 7 checkpoints"."""
    of = f"the {why} of {count} checkpoints" if count > 1 else "the only checkpoint"
    note(f"{escape_line(folder, None)}: {escape_line(os.path.basename(file.path), None)}, {of}")


def _every(folder: str, note: Note) -> list[File]:
    files = best_first(folder, note)
    plural = "s" if len(files) > 1 else ""
    note(f"{escape_line(folder, None)}: {len(files)} checkpoint{plural}, the lowest validation loss first")
    return files


def _rank(file: File) -> tuple[int, float, bool]:
    """A sort key: finite losses first, then none, then NaN and infinity."""
    return *losses.sort_key(file.loss), not file.is_best


def _whole(files: list[File], note: Note) -> Iterator[tuple[File, Checkpoint]]:
    """Load the readable files; print a note for each other."""
    for file in files:
        if loaded := _loaded(file.path, note):
            yield file, loaded


def _loaded(path: str, note: Note) -> Checkpoint | None:
    try:
        return checkpoint.load(path)
    except UserError as e:
        note(f"passed over: {e}")
        return None


def _none_whole(folder: str) -> UserError:
    return UserError(f"the folder {folder} has no checkpoint that can be read: name one, or another folder.")


def validation_loss(loaded: Checkpoint) -> float | None:
    """In nats per character; None for a checkpoint written between validations."""
    return loaded.val_losses.get(loaded.i) if loaded.val_losses else loaded.val_loss


# -- names -------------------------------------------------------------------------------------------------------------


def _may_be_checkpoint(name: str) -> bool:
    return name.endswith(formats.IN_FOLDERS) and not _CACHE.fullmatch(name) and name[0] != "."


def _by_file(status: dict[str, os.stat_result]) -> list[list[str]]:
    """The names of each file, including its copies where training could not make hard links."""
    files: dict[tuple[int, int], list[str]] = {}
    for name, found in status.items():
        files.setdefault((found.st_dev, found.st_ino), []).append(name)
    whole: list[list[str]] = []
    copies: list[list[str]] = []
    for same in files.values():
        (copies if all(map(_is_second_name, same)) else whole).append(same)
    for same in copies:
        original = next((other for other in whole if _same_bytes(same[0], other[0])), None)
        if original is None:
            whole.append(same)
        else:
            original += same
    return whole


def _each_once(paths: Sequence[str]) -> dict[str, list[str]]:
    """Most descriptive name of each file -> its other names; missing files are kept."""
    status: dict[str, os.stat_result] = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            status[path] = os.stat(path)
    of_file = {name: names for names in _by_file(status) for name in names}
    found: dict[str, list[str]] = {}
    for path in paths:
        names = sorted(of_file.get(path, [path]), key=_by_what_it_says)
        found[names[0]] = names[1:]
    return found


def _is_second_name(path: str) -> bool:
    name = run_names.parse(os.path.basename(path))
    return name is not None and name.alias != ""


def _by_what_it_says(path: str) -> tuple[bool, str]:
    """A sort key: the most descriptive name first."""
    return _is_second_name(path), path


def _same_bytes(a: str, b: str) -> bool:
    try:
        return filecmp.cmp(a, b, shallow=False)
    except OSError:
        return False


def _file(names: list[str], modified: int) -> File:
    path = min(names, key=_by_what_it_says)
    parts = [run_names.parse(os.path.basename(name)) for name in names]
    is_best = any(name is not None and name.alias == "best" for name in parts)
    name = run_names.parse(os.path.basename(path))
    if name is None:
        return File(path, "", -1, None, modified, is_best)
    return File(path, name.run, -1 if name.epoch is None else name.epoch, name.loss, modified, is_best)


def run_of(path: str) -> str:
    """The name of a run by one of its files: cv/lstm of cv/lm_lstm_best.t7; `path` itself for other names."""
    folder, name = os.path.split(path)
    parts = run_names.parse(name)
    return os.path.join(folder, parts.run.removeprefix("lm_")) if parts else path
