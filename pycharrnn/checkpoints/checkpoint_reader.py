"""Reads the checkpoints of a folder, and passes over damaged ones."""

from __future__ import annotations

from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.common.extras import MissingPackage
from pycharrnn.common.printing import PrintLine


class CheckpointReader:
    """Reads checkpoints. It prints a note for each file that can't be read, and never reads that file again.

    `only_finite`: pass over those with weights that are NaN or infinite, too.
    """

    def __init__(self, note: PrintLine, only_finite: bool = False) -> None:
        self._note, self._only_finite = note, only_finite
        self._unreadable: dict[str, UserError] = {}
        self._last: tuple[str, Checkpoint] | None = None  # often the best one is the newest one

    def checkpoint(self, path: str) -> Checkpoint | None:
        """None for a file that is passed over."""
        if self._last and self._last[0] == path:
            return self._last[1]
        if path in self._unreadable:
            return None
        try:
            loaded = checkpoint.load(path)
            if self._only_finite and not loaded.network.is_finite():
                raise UserError(f"{path} has weights that are NaN or infinite.")
        except UserError as e:
            self._unreadable[path] = e
            self._note(passed_over(path, e))
            return None
        self._last = path, loaded
        return loaded

    def none_readable(self, otherwise: str) -> UserError:
        """The error where all were passed over: that a package is missing, if it is; else with this message."""
        missing = (error for error in self._unreadable.values() if isinstance(error, MissingPackage))
        return next(missing, UserError(otherwise))


def passed_over(path: str, error: UserError) -> str:
    """A note that the checkpoint at `path` is not used, and why."""
    return f"passed over: {error}" if path in str(error) else f"passed over {escape_line(path, None)}: {error}"
