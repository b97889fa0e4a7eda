"""`pycharrnn data NAME`: makes data/NAME/input.txt of a text that comes with Python or is downloaded."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from compat.atomic_write import atomic_write
from pycharrnn.common import regular_files
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.progress import bar
from pycharrnn.text.source_files import SOURCES
from pycharrnn.text.text_folder import input_file

TINYSHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
ULYSSES_URL = "https://www.gutenberg.org/files/4300/4300-0.txt"
_MAX_BYTES = 1 << 28  # far more than any of the texts; a longer download may be endless
_USUAL_BYTES = 1_500_000  # length of the bar if the server does not send one


def write(name: str, data_dir: str = "data", say: PrintLine = print) -> str:
    """Write the text `name`, one of DATASETS, to data_dir/name/input.txt, unless the same text is there.

    `say` prints its size. Returns: the path. Errors: UserError (unknown name, failed download, another text there).
    """
    if name not in DATASETS:
        raise UserError(
            f"there is no data set {name!r}: choose {', '.join(DATASETS)}, or train on a text of your own by pycharrnn"
            " train FILE."
        )
    path = input_file(os.path.join(data_dir, name))
    text = DATASETS[name](path)
    folder = os.path.dirname(path)
    sources = os.path.join(folder, SOURCES)
    try:
        if os.path.lexists(path):
            _check_same(path, text)
        else:
            os.makedirs(folder, exist_ok=True)
            regular_files.check(sources)
            with atomic_write(path) as f:
                f.write(text)
            with atomic_write(sources) as f:
                f.write(f"pycharrnn data {name}\n".encode())
    except OSError as e:
        raise UserError(f"can't write {sources if e.filename == sources else path}: {e.strerror or e}.") from e
    say(f"{path}: {len(text)} characters, {len(set(text))} distinct")
    return path


def _check_same(path: str, text: bytes) -> None:
    """Errors: UserError if the file holds something else; OSError."""
    if os.path.isfile(path) and os.path.getsize(path) == len(text):
        with open(path, "rb") as f:
            if f.read() == text:
                return
    raise UserError(f"{path} holds another text: rename or remove {os.path.dirname(path)}, and repeat the command.")


def _pydoc(path: str) -> bytes:
    """The manual of Python's `help` prompt. Errors: UserError if the installation lacks it."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError(f"this Python has no pydoc_data: put a text of your own into {path}.") from None
    return "\n\n".join(topics[name] for name in sorted(topics)).encode()


def _tinyshakespeare(path: str) -> bytes:
    return _download(TINYSHAKESPEARE_URL, path)


def _ulysses(path: str) -> bytes:
    return strip_gutenberg(_download(ULYSSES_URL, path))


# Name -> function that returns the text; its errors name the path that it receives.
DATASETS: dict[str, Callable[[str], bytes]] = {
    "pydoc": _pydoc,
    "tinyshakespeare": _tinyshakespeare,
    "ulysses": _ulysses,
}


def strip_gutenberg(text: bytes) -> bytes:
    """Ulysses without Project Gutenberg's additions: from the heading of part one to "1914-1921", with Unix line ends.

    The heading is "— I —", "-- I --" or missing, by edition. A table of contents has the same line, so the last one
    before the first sentence counts. Errors: UserError if the text is not Ulysses.
    """
    text = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    beginning, opening, rest = text.partition(b"Stately, plump Buck Mulligan")
    headings = list(re.finditer(rb"^[ \t]*((?:\xe2\x80\x94|--) ?I ?(?:\xe2\x80\x94|--))[ \t]*$", beginning, re.M))
    ending = re.search(rb"1914(?:-|\xe2\x80\x93|\xe2\x80\x94)1921", rest)
    if not ending:  # as where the opening is missing, which leaves no rest
        raise UserError("the download is not Project Gutenberg's Ulysses: get the text by hand.")
    start = headings[-1].start(1) if headings else len(beginning)
    return beginning[start:] + opening + rest[: ending.end()] + b"\n"


def _download(url: str, path: str) -> bytes:
    """The bytes at `url`, for the file at `path`. Errors: UserError for a failed or incomplete download."""
    parts: list[bytes] = []
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            total = int(response.headers.get("Content-Length") or 0)
            done = 0
            with bar("downloading", total or _USUAL_BYTES) as advance:
                while part := response.read(1 << 16):
                    parts.append(part)
                    done += len(part)
                    if done > _MAX_BYTES:
                        raise OSError("it does not end")
                    advance(len(part))
            if total and done != total:
                raise OSError(f"the connection broke after {done} of {total} bytes")
    except (OSError, ValueError, HTTPException) as e:
        reason = getattr(e, "reason", None) or e
        raise UserError(f"can't download {url} ({reason}): download it in another way to {path}.") from e
    return b"".join(parts)
