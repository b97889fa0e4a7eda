"""`pycharrnn studio`: a server with the studio's paths, in the folder that it is named."""

from __future__ import annotations

import contextlib
import html
import os
import threading
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pycharrnn.common import file_lock
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.server import serve
from pycharrnn.server.options import StudioOptions
from pycharrnn.server.registry import Registry
from pycharrnn.server.studio import studio_paths
from pycharrnn.server.studio.studio import Studio
from pycharrnn.server.studio.studio_api import site_of

_LINK_PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={url}">
<title>pycharrnn studio</title>
<a href="{url}">pycharrnn studio</a>
"""


def open_studio(
    folder: str, opt: StudioOptions, environment: Mapping[str, str], say: PrintLine, note: PrintLine
) -> None:
    """Serve a folder until a signal arrives; a training goes on after that.

    Args:
        folder: made if it is missing; it becomes the current one, in which trainings run.
        environment: of trainings; that of this process may limit its own threads.
        say: prints a line on stdout. note: prints one on stderr.

    Errors: UserError if the folder or the address can't be used, or if another studio has the folder open.
    """
    new = _missing(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
        made = [*new, *map(os.path.abspath, studio_paths.make_folders())]
    except OSError as e:
        is_file = isinstance(e, FileExistsError)  # in place of `folder`, or of a folder in it
        why = f"{escape_line(e.filename)} is a file" if is_file else e.strerror or e
        raise UserError(f"can't use the folder {escape_line(folder)} ({why}): name another one.") from e

    def began(url: str) -> None:
        if new:  # perhaps of a mistyped name
            note(f"{escape_line(folder)} is a new folder.")
        if opt.open:
            _open_browser(url, is_secret=bool(opt.token))

    try:
        _serve(opt, environment, say, note, began)
    except UserError:  # such as a port in use
        _remove_empty(made)
        raise


def _serve(
    opt: StudioOptions,
    environment: Mapping[str, str],
    say: PrintLine,
    note: PrintLine,
    began: Callable[[str], None],
) -> None:
    """Serve the current folder. Arguments and errors: as open_studio; `began`: called with the address."""
    lock = studio_paths.lock()
    try:
        serve.prepare_process()
        say = partial(serve.say_or_fail, say)
        models = Registry([studio_paths.CHECKPOINTS, studio_paths.MODELS], say, note, follow=True)
        studio = Studio(models, note, environment)
        serve.listen(models, opt, say, studio.beside, site_of(studio), began)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(studio_paths.LINK)
        file_lock.release(lock, studio_paths.LOCK)


def _missing(folder: str) -> list[str]:
    """The absolute paths of a folder and those above it that do not exist, parents first."""
    missing, path = list[str](), os.path.abspath(folder)
    while not os.path.lexists(path) and path != os.path.dirname(path):  # as a drive of Windows, which may not exist
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing


def _remove_empty(folders: Sequence[str]) -> None:
    """Remove folders in which nothing has been written, the last one first."""
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _private_link(url: str) -> str:
    """The address of a file that leads to `url`, which has the token. Errors: OSError.

    All users of a machine see the command lines on it, that of a browser too; only its owner can read the file.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(studio_paths.LINK)
    with open(os.open(studio_paths.LINK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as f:
        f.write(_LINK_PAGE.format(url=html.escape(url)))
    return Path(studio_paths.LINK).absolute().as_uri()


def _open_browser(url: str, is_secret: bool) -> None:
    """Open a page in a thread: some browsers return only when they are closed. `is_secret`: whether it has a token."""

    def open_page() -> None:
        with contextlib.suppress(Exception):  # without a browser, the address is printed all the same
            webbrowser.open(_private_link(url) if is_secret else url)

    threading.Thread(target=open_page, daemon=True).start()
