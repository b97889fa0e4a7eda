"""Lists the checkpoint files of a folder, each once, with what their names say."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from compat import file_magic
from pycharrnn.checkpoints import formats, run_names
from pycharrnn.common import folder_walk
from pycharrnn.common.display import escape_line, series
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.common.shell_words import quoted

ONE_TIME = 10**8  # nanoseconds: a copy that does not keep times, as of git clone, writes one file after another in less
COPY = "_cpu.t7"  # added to the name of a checkpoint by convert, as by char-rnn's convert_gpu_cpu_checkpoint.lua
_MOST_FOLDERS_NAMED = 3
_MOST_FOLDERS, _MOST_ENTRIES = 20, 1000  # to look into for these: serve lists an empty folder every few seconds
_PACKED = tuple(f"{ending}.gz" for ending in formats.T7.endings)  # read as they are
_UNFINISHED = (".part", ".partial", ".crdownload", ".download")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_TENSORFLOW = (".index", ".meta")
_BY_CONTENT = (".pt", ".pth", ".ckpt", ".keras", ".h5", ".gguf")  # which also files of pycharrnn may have


@dataclass(frozen=True)
class File:
    """A file in a folder that may be a checkpoint, described by its names.

    Attributes:
        path: the most descriptive name. run: first part of the names of its run, lm_lstm; "" for other names.
        epoch: -1 if unknown. loss: None if unknown. modified: in nanoseconds.
        is_best, is_latest: whether one of the names is that of its run's best checkpoint, or of its last state.
    """

    path: str
    run: str
    epoch: float
    loss: float | None
    modified: int
    is_best: bool
    is_latest: bool


def newest_first(folder: str, note: PrintLine = print_nothing) -> list[File]:
    """The checkpoints in a folder, each once. Links that can't be followed are skipped, with a note.

    Errors: UserError for a folder that can't be read or has no checkpoint.
    """

    denied = os.strerror(errno.EACCES)
    reasons = set[str]()

    def skipped(path: str, why: str) -> None:
        reasons.add(why)
        note(f"skipped {escape_line(path)}: {why}")

    try:
        found = folder_walk.list_folder(folder, skipped, may_be_checkpoint)
    except OSError as e:
        raise UserError(f"can't look for checkpoints in {folder} ({e.strerror}).") from e
    status = {path: status for path, status in found if stat.S_ISREG(status.st_mode)}
    for path in [path for path in status if path.endswith(COPY) and path.removesuffix(COPY) in status]:
        del status[path]  # a copy that convert has made
    if not status and denied in reasons:
        cause = PermissionError(errno.EACCES, denied)  # serve goes on in a folder that is only empty
        raise UserError(f"can't look for checkpoints in {folder} ({denied}).") from cause
    if not status:
        endings = series(formats.IN_FOLDERS, "or")
        named = " or ".join(quoted(path) for path in _folders_with_checkpoints(folder))
        another = f"another folder, as {named}" if named else "another folder"
        raise UserError(f"the folder {folder} has no checkpoint ({endings}){_in_place_of_one(folder)} {another}.")
    files = [_file(names, status[names[0]].st_mtime_ns) for names in _by_file(status)]
    return _sorted(files)


def _in_place_of_one(folder: str) -> str:
    """A file that may hold a model in another form, and advice on it, for a message that ends with "another folder".

    ", but ck.t7.gz: name it, or"; ": name one, or" without such a file.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        some = itertools.islice(entries, _MOST_ENTRIES)
        names = sorted(entry.name for entry in some if entry.is_file() and entry.name[0] != ".")
        for endings, words in (
            (_PACKED, ": name it, or"),
            (_UNFINISHED, ", an unfinished download: download it again, or name"),
            (_ARCHIVES, ", an archive: unpack it, or name"),
            (_TENSORFLOW, ", a file of TensorFlow: name a checkpoint, or"),
            (_BY_CONTENT, ""),
        ):
            found = [name for name in names if name.lower().endswith(endings) and not _is_packed_cache(name)]
            if found:
                return f", but {escape_line(found[0])}{words or _by_content(os.path.join(folder, found[0]))}"
    return ": name one, or"


def _is_packed_cache(name: str) -> bool:
    return file_magic.CACHE_NAME.fullmatch(name.removesuffix(".gz")) is not None


def _by_content(path: str) -> str:
    other = file_magic.other_program(path)
    return f", {other}: name a checkpoint, or" if other else ": name it, or"


def _folders_with_checkpoints(folder: str) -> list[str]:
    """The first folders inside a folder that seem to have checkpoints, by the names of their files."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        inside = sorted(entry.path for entry in entries if entry.is_dir() and entry.name[0] != ".")
        return list(itertools.islice(filter(_seems_to_have_checkpoints, inside[:_MOST_FOLDERS]), _MOST_FOLDERS_NAMED))
    return []


def _seems_to_have_checkpoints(folder: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return any(may_be_checkpoint(entry.name) for entry in itertools.islice(entries, _MOST_ENTRIES))
    return False


def _sorted(files: Sequence[File]) -> list[File]:
    """The newest first; of files of one time those of the later epoch, after the name of a run's latest checkpoint."""

    def progress(file: File) -> tuple[bool, float, int, str]:
        name = run_names.parse(os.path.basename(file.path))
        # The second name of a named checkpoint is not listed, so this one was saved after the last validation.
        is_latest = name is not None and name.alias == "latest"
        return is_latest, file.epoch, file.modified, file.path

    left, found = sorted(files, key=lambda file: file.modified), list[File]()
    while left:
        of_one_time = [left.pop()]
        while left and of_one_time[-1].modified - left[-1].modified < ONE_TIME:
            of_one_time.append(left.pop())
        found += sorted(of_one_time, key=progress, reverse=True)
    return found


def each_once(paths: Sequence[str]) -> dict[str, list[str]]:
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


def may_be_checkpoint(name: str) -> bool:
    """Whether a file of this name in a folder is read as a checkpoint."""
    return name.lower().endswith(formats.IN_FOLDERS) and not file_magic.CACHE_NAME.fullmatch(name) and name[0] != "."


def _by_file(status: dict[str, os.stat_result]) -> list[list[str]]:
    """The names of each file, including its copies where training could not make hard links."""
    files: dict[object, list[str]] = {}  # by file_id
    for name, found in status.items():
        files.setdefault(folder_walk.file_id(name, found), []).append(name)
    whole: list[list[str]] = []
    copies: list[list[str]] = []
    for same in files.values():
        (copies if all(map(_is_second_name, same)) else whole).append(same)
    by_run: dict[str, list[list[str]]] = {}  # a training copies its own checkpoints
    for same in whole:
        by_run.setdefault(_run_of(same), []).append(same)
    for same in copies:
        of_run = by_run.setdefault(_run_of(same), [])
        original = next((other for other in of_run if _same_bytes(same[0], other[0])), None)
        if original is None:
            whole.append(same)
            of_run.append(same)
        else:
            original += same
    return whole


def _run_of(names: Sequence[str]) -> str:
    """The run of a file by any of its names; "" if none is that of a run."""
    found = (run_names.parse(os.path.basename(name)) for name in names)
    return next((name.run for name in found if name), "")


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
    aliases = {name.alias for name in parts if name}
    is_best, is_latest = "best" in aliases, "latest" in aliases
    name = run_names.parse(os.path.basename(path))
    if name is None:
        return File(path, "", -1, None, modified, is_best, is_latest)
    epoch = -1 if name.epoch is None else name.epoch
    return File(path, name.run, epoch, name.loss, modified, is_best, is_latest)
