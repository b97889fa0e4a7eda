"""Lists the files of folders for train, sample, -resume and serve, and skips broken links."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

Skipped = Callable[[str, str], None]  # receives a path that is broken, endless or too long, and the reason
Found = tuple[str, os.stat_result]


def list_folder(folder: str, skipped: Skipped, wants: Callable[[str], bool] = lambda name: True) -> list[Found]:
    """The entries of a folder whose names `wants` accepts, sorted, with the status of link targets. Errors: OSError."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if wants(entry.name))
    found = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            found.append((path, os.stat(path)))
        except OSError as e:
            if os.path.islink(path) or not isinstance(e, FileNotFoundError):  # else it has just been removed
                skipped(path, e.strerror or str(e))
    return found


def walk_files(
    folder: str, skipped: Skipped, wants: Callable[[str], bool], enters: Callable[[str], bool]
) -> Iterator[Found]:
    """All regular files below a folder, depth first, by name; each folder once, however many links lead to it.

    `wants` accepts the names of files and folders, `enters` the paths of folders. Errors: OSError.
    """
    listed = {file_id(folder, os.stat(folder))}
    open_folders = [iter(list_folder(folder, skipped, wants))]
    while open_folders:
        for path, status in open_folders[-1]:
            if stat.S_ISREG(status.st_mode):
                yield path, status
            elif stat.S_ISDIR(status.st_mode) and file_id(path, status) not in listed and enters(path):
                listed.add(file_id(path, status))
                open_folders.append(iter(list_folder(path, skipped, wants)))
                break
        else:
            open_folders.pop()


def file_id(path: str, status: os.stat_result) -> tuple[int, int] | str:
    """A key that all paths of a file or folder share: device and inode, or the real path if there are no inodes."""
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
