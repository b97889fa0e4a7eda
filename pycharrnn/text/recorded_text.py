"""The text that a checkpoint was trained on, as the checkpoint records it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, wordings
from pycharrnn.text import cached_text
from pycharrnn.text.text_folder import input_file
from pycharrnn.text.text_stats import text_stats

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint

_TEXT_FILE = wordings("-text FILE", "text=FILE")

MAX_UNASKED = 64 << 20  # bytes of a text that a command reads although no option asks for it


class RecordedText(NamedTuple):
    """The text that a model was trained on.

    Attributes:
        checkpoint: its path, for messages.
        folder: of input.txt; "" if it is not recorded.
        torch_rnn_file: the file that torch-rnn's preprocess.py made of the text; "" if none is recorded.
        fingerprint: of the text, see text_stats; "" if it is not recorded, as in a checkpoint of the original.
    """

    checkpoint: str
    folder: str
    fingerprint: str
    torch_rnn_file: str = ""

    @property
    def path(self) -> str:
        """The path of the text."""
        return input_file(self.folder)

    @property
    def missing(self) -> str:
        """As the function `missing`; "" if no file is recorded."""
        return missing(self.checkpoint, self.folder) if self.folder else ""

    @property
    def unverified(self) -> str:
        """That the recorded file may be another text by now, as a note; "" if its hash is recorded, or it is gone."""
        if self.fingerprint or not self.folder or self.missing:
            return ""
        taken = f"{escape_line(self.path)} is taken as it is now."
        return f"{self.checkpoint} does not record the hash of its training text: {taken}"

    def changed(self) -> str:
        """That the recorded file is another text by now, for the beginning of a message; "" if it is the same.

        Reads the text, unless its cache has the hash. A text above MAX_UNASKED bytes counts as the same. Errors:
        UserError if it can't be read.
        """
        if not self.may_be_read_unasked() or text_stats(self.folder, -1).fingerprint == self.fingerprint:
            return ""
        return f"{escape_line(self.path)}, on which {self.checkpoint} was trained, has changed since"

    def checked_path(self) -> str:
        """The path, after a check that the file is still the recorded text.

        Without a fingerprint the file is taken as it is. Errors: UserError if it is missing or has changed.
        """
        if self.torch_rnn_file and not self.folder:
            raise UserError(
                f"{self.checkpoint} was trained on {escape_line(self.torch_rnn_file)}, which torch-rnn's preprocess.py"
                f" made: give its text by {_TEXT_FILE}."
            )
        if not self.folder:
            raise UserError(f"{self.checkpoint} does not say what it was trained on: give {_TEXT_FILE}.")
        if self.missing:
            advice = cached_text.remedy(self.folder) or "go to the folder of the training"
            raise UserError(f"{self.missing}: {advice}, or give {_TEXT_FILE}.")
        fingerprint = text_stats(self.folder, -1).fingerprint
        if self.fingerprint and self.fingerprint != fingerprint:
            was = escape_line(self.fingerprint)
            raise UserError(
                f"{escape_line(self.path)} is not the text of {self.checkpoint}: it was {was}; it is {fingerprint}."
                f" Give {_TEXT_FILE}."
            )
        return self.path

    def may_be_read_unasked(self) -> bool:
        """Whether the text is small, is here, and has a fingerprint.

        Without a fingerprint the file of that name may be any other text.
        """
        return bool(self.fingerprint) and self.is_small()

    def is_small(self) -> bool:
        """Whether the text is here, with MAX_UNASKED bytes or less."""
        try:
            return bool(self.folder) and os.path.getsize(self.path) <= MAX_UNASKED
        except (OSError, ValueError):  # ValueError: a NUL character in a path
            return False


def missing(checkpoint: str, folder: str) -> str:
    """That the text of a checkpoint is not in the folder that it records, for the beginning of a message; "" if it is.

    `checkpoint`: its path.
    """
    path = input_file(folder)
    return "" if os.path.isfile(path) else f"{escape_line(path)}, on which {checkpoint} was trained, is not here"


def not_usable(of: str = "", or_else: str = "has changed since") -> str:
    """That a training text can't be used, as a clause, where it is not known or not to be said which reason holds.

    `of`: the checkpoint. `or_else`: the other reason.
    """
    return f"the training text{of and f' of {of}'} is not here, or {or_else}"


def recorded_text(path: str, loaded: Checkpoint) -> RecordedText:
    """The training text of the checkpoint at `path`."""
    return RecordedText(path, loaded.data_dir, loaded.text_fingerprint, loaded.torch_rnn_file)
