"""Checks of a file to write, for score and copied -html, plot, activations, convert and chat -o.

No command writes over a file that it reads, with one exception: chat -learn 1 may save a model in the model's file. A
command replaces a picture or page that it wrote itself, which it can make again. It replaces any other file, a
model included, only with -overwrite 1.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pycharrnn.checkpoints import formats
from pycharrnn.common import output_folder
from pycharrnn.common.errors import UserError
from pycharrnn.common.same_file import same_file

_ENDINGS = (*formats.ALL_ENDINGS, ".png", ".svg", ".txt")


@dataclass(frozen=True)
class Output:
    """A file to write.

    Attributes:
        path: "" = none. option: the flag with a blank, "-o ", or "" for an argument. overwrite: -overwrite.
        command: the command that writes it, if it is a picture or page that the command may replace; else "".
    """

    path: str
    option: str
    overwrite: int
    command: str = ""

    def check_folder(self) -> None:
        """Check, before the work, that the folder exists and can be written. Errors: UserError."""
        if not self.path:
            return
        if self.path == "-":
            raise UserError(f"{self._named()} can't write to standard output: name a file.")
        output_folder.require_folder(self.path, self.option)
        name = os.path.basename(self.path)
        if name.lower() in _ENDINGS:
            raise UserError(f"{self._named()} is an ending without a name: name a file, as in my{name}.")

    def check(self, *inputs: str) -> None:
        """Errors: UserError if the file is one of the inputs, a folder, or a file that may not be replaced; OSError."""
        if os.path.isdir(self.path):
            raise UserError(f"{self._named()} is a folder: name a file.")
        for file in inputs:
            if same_file(file, self.path):
                raise UserError(f"{self._named()} would overwrite {file}, which it is made of: choose another name.")
        if not self.overwrite and os.path.isfile(self.path) and not self._is_own():
            what = f", and pycharrnn {self.command} did not write it" if self.command else ""
            other = "choose another name" if self.option else "name another file at the end of the line"
            raise UserError(f"{self._named()} exists{what}: {other}, or replace this one with -overwrite 1.")

    def _is_own(self) -> bool:
        if not self.command:
            return False
        from pycharrnn.analysis import own_files

        return own_files.is_own(self.path, self.command)

    def _named(self) -> str:
        return f"{self.option}{self.path}"
