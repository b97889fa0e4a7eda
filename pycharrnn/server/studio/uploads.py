"""The uploaded texts below studio/texts: those of runs stay, others are removed after a while or at the next start."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection

from pycharrnn.server.studio import studio_paths, uploaded_text
from pycharrnn.server.studio.uploaded_text import UploadedText


class Texts:
    """The uploaded texts, by id."""

    def __init__(self) -> None:
        self._known: dict[str, UploadedText] = {}  # those of an earlier server once they are asked for

    def new(self, name: str, is_folder: bool) -> UploadedText:
        """Begin a text, as UploadedText.begin. Errors: OSError."""
        text = UploadedText.begin(name, is_folder)
        self._known[text.id] = text
        return text

    def of(self, text_id: str) -> UploadedText:
        """The text of an id. Errors: Refusal if there is none on the disk."""
        if not studio_paths.is_id(text_id, "t") or not uploaded_text.files_of(text_id):
            raise uploaded_text.gone()
        return self._known.setdefault(text_id, UploadedText(text_id))

    def use(self, text_id: str) -> None:
        """Take no more files for a text, which a run uses."""
        self._known.setdefault(text_id, UploadedText(text_id)).is_used = True

    def remove_all_but(self, used: Collection[str]) -> None:
        """Remove the texts that no run uses."""
        for name in studio_paths.names_in(studio_paths.TEXTS):
            text_id = name.removesuffix(".json")
            if studio_paths.is_id(text_id, "t") and text_id not in used:  # others may be a user's own files
                _remove(f"{studio_paths.TEXTS}/{name}")

    def remove_abandoned(self, seconds: float) -> None:
        """Remove the texts that this server received so long ago, and that no run has used since."""
        for text in list(self._known.values()):
            if text.begun is not None and not text.is_used and time.monotonic() - text.begun >= seconds:
                for path in uploaded_text.files_of(text.id):
                    _remove(path)
                del self._known[text.id]


def _remove(path: str) -> None:
    """Remove a folder or a file, if possible."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)
