"""Which checkpoints a page that is a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pycharrnn.checkpoints.paths import load_every
from pycharrnn.page.single_file import Model, model_of

if TYPE_CHECKING:
    from pycharrnn.checkpoints.paths import Note

MOST = 64_000_000  # characters of the weights of a page, beyond which folders add none to it


def collect(arguments: Sequence[str], half: bool, note: Note, most: int = MOST) -> list[tuple[str, Model]]:
    """(path, model) of the checkpoints at some paths: first those that are named, then of folders all, the best first.

    Those that are named are in the page whatever their size; of folders so many as make it no larger than `most`.

    Args:
        half: as for single_file.model_of.

    Errors: UserError, as load_every and model_of.
    """
    found: list[tuple[str, Model]] = []
    size = 0
    for path, loaded in load_every(arguments, note):
        model = model_of(path, loaded, half)
        size += len(model["weights"])
        if found and size > most and path not in arguments:
            hint = "" if half else "round weights with -half 1, or "
            note(f"the page would be larger than {most / 1e6:g} MB with more models: {hint}name those that it needs")
            break
        found.append((path, model))
    return found
