"""Which checkpoints the argument CKPT_OR_DIR of a command means.

A file means itself. Of a folder, a command that uses one model takes the checkpoint with the lowest validation loss
(`load_best`), one that compares or offers models takes all of them, the best first (`load_every`), and one
that draws runs takes the newest of each, which holds the losses of its whole run (`load_runs`). -resume goes on from
the newest (`newest_first`). What a folder came to mean is said in a line.
"""

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

_CACHE = re.compile(r"(vocab|data)(_utf8)?(_without_\w+)?\.t7")  # files that preprocessing leaves beside input.txt


@dataclass(frozen=True)
class File:
    """A file in a folder that may be a checkpoint, by what its names say.

    Attributes:
        path: the one of its names that says most.
        run: what the names of its run begin with, lm_lstm; "" for a name that training doesn't give.
        epoch: -1 where the name says none. loss: None where the name says none.
        modified: when it was written, in nanoseconds.
        is_best: whether it has the name of its run's best checkpoint as well.
    """

    path: str
    run: str
    epoch: float
    loss: float | None
    modified: int
    is_best: bool


def newest_first(folder: str, note: Note = lambda line: None) -> list[File]:
    """The checkpoints in a folder, each once; links that can't be followed are skipped, with a line.

    Errors: UserError for a folder that can't be read, or has none.
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
    """The checkpoints in a folder by their validation loss, the lowest first; then those without one, the newest first.

    The loss comes from the file's name, where it has the form of char-rnn's, else from the file. What can't be read for
    that is passed over, with a line.

    Errors: UserError, as newest_first.
    """
    files = []
    for file in newest_first(folder, note):
        if file.loss is not None:
            files.append(file)
        elif loaded := _loaded(file.path, note):
            files.append(replace(file, loss=validation_loss(loaded)))
    return sorted(files, key=_rank)


def load_best(path: str, note: Note) -> tuple[str, Checkpoint]:
    """The checkpoint at `path`, or of a folder the one with the lowest validation loss, and where it lies.

    Errors: UserError, as checkpoint.load; for a folder without a checkpoint that can be read.
    """
    if not os.path.isdir(path):
        return path, checkpoint.load(path)
    files = best_first(path, note)
    for file, loaded in _whole(files, note):
        why = "newest, since none has a validation loss," if file.loss is None else "lowest validation loss"
        say_choice(note, path, file, why, len(files))
        return file.path, loaded
    raise _none_whole(path)


def load_every(paths: Sequence[str], note: Note) -> Iterator[tuple[str, Checkpoint]]:
    """The checkpoints at some paths, and of folders among them all, one after the other, each once.

    Of several names of a file the one that says most counts; the others are passed over, with a line.

    Errors: UserError, as load_best.
    """
    folders = {file.path: path for path in paths if os.path.isdir(path) for file in _every(path, note)}
    named = [path for path in paths if not os.path.isdir(path)]
    without = set(folders.values())  # folders of which nothing could be read
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
    """As load_best, but of a folder the newest checkpoint of each run, one after the other, by the runs' names."""
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
    """Say which of a folder's checkpoints was taken: "cv: lm_x_epoch8.00_1.2400.t7, the newest of 7 checkpoints"."""
    of = f"the {why} of {count} checkpoints" if count > 1 else "the only checkpoint"
    note(f"{escape_line(folder, None)}: {escape_line(os.path.basename(file.path), None)}, {of}")


def _every(folder: str, note: Note) -> list[File]:
    files = best_first(folder, note)
    plural = "s" if len(files) > 1 else ""
    note(f"{escape_line(folder, None)}: {len(files)} checkpoint{plural}, the lowest validation loss first")
    return files


def _rank(file: File) -> tuple[int, float, bool]:
    """A key by which the best comes first: by a loss that is a number, without a loss, by one that is none."""
    return *losses.sort_key(file.loss), not file.is_best


def _whole(files: list[File], note: Note) -> Iterator[tuple[File, Checkpoint]]:
    """Load one after the other; what can't be read is passed over, with a line."""
    for file in files:
        if loaded := _loaded(file.path, note):
            yield file, loaded


def _loaded(path: str, note: Note) -> Checkpoint | None:
    """The checkpoint at `path`; None, and a line, where it can't be read."""
    try:
        return checkpoint.load(path)
    except UserError as e:
        note(f"passed over: {e}")
        return None


def _none_whole(folder: str) -> UserError:
    return UserError(f"the folder {folder} has no checkpoint that can be read: name one, or another folder.")


def validation_loss(loaded: Checkpoint) -> float | None:
    """The validation loss of a checkpoint, in nats per character; None where it was written between validations."""
    return loaded.val_losses.get(loaded.i) if loaded.val_losses else loaded.val_loss


# -- names -------------------------------------------------------------------------------------------------------------


def _may_be_checkpoint(name: str) -> bool:
    """Whether this is the name of a checkpoint, not of a cache or of a file that is being written."""
    return name.endswith(formats.IN_FOLDERS) and not _CACHE.fullmatch(name) and name[0] != "."


def _by_file(status: dict[str, os.stat_result]) -> list[list[str]]:
    """The names of each file; where there are no second names, training makes copies, which count as such."""
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
    """Of the names of each file the one that says most, and with it the others; a file that is not there stays."""
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
    """Whether training gives this name to a checkpoint beside the name with its epoch and loss."""
    name = run_names.parse(os.path.basename(path))
    return name is not None and name.alias != ""


def _by_what_it_says(path: str) -> tuple[bool, str]:
    """A key by which the name of a file comes first that says most of it."""
    return _is_second_name(path), path


def _same_bytes(a: str, b: str) -> bool:
    """Whether two files hold the same; a file that can't be read is like no other."""
    try:
        return filecmp.cmp(a, b, shallow=False)
    except OSError:
        return False


def _file(names: list[str], modified: int) -> File:
    """What the names of a file say."""
    path = min(names, key=_by_what_it_says)
    parts = [run_names.parse(os.path.basename(name)) for name in names]
    is_best = any(name is not None and name.alias == "best" for name in parts)
    name = run_names.parse(os.path.basename(path))
    if name is None:
        return File(path, "", -1, None, modified, is_best)
    return File(path, name.run, -1 if name.epoch is None else name.epoch, name.loss, modified, is_best)


def run_of(path: str) -> str:
    """What the files of a run are called after: cv/lstm of cv/lm_lstm_best.t7; `path` itself under other names."""
    folder, name = os.path.split(path)
    parts = run_names.parse(name)
    return os.path.join(folder, parts.run.removeprefix("lm_")) if parts else path
