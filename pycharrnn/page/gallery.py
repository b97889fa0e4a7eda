"""Selects the checkpoints of a page that is a single file."""

from __future__ import annotations

from collections.abc import Sequence

from pycharrnn.checkpoints.paths import load_best_of_runs
from pycharrnn.common.display import escape_line
from pycharrnn.common.printing import PrintLine
from pycharrnn.page.single_file import Model, model_of
from pycharrnn.text.recorded_text import not_usable, recorded_text

MAX_SIZE = 64_000_000  # characters of weights; a larger page gets no further models from folders


def collect(arguments: Sequence[str], half: bool, note: PrintLine, max_size: int = MAX_SIZE) -> list[tuple[str, Model]]:
    """(path, model) of all named checkpoints, then the best of each run in folders, until the page reaches `max_size`.

    Errors: UserError, as load_best_of_runs and single_file.model_of.
    """
    found: list[tuple[str, Model]] = []
    size = 0
    for path, loaded in load_best_of_runs(arguments, note):
        model = model_of(path, loaded, half)
        size += len(model["weights"])
        if found and size > max_size and path not in arguments:
            hint = "" if half else "round weights with -half 1, or "
            limit = f"{max_size / 1e6:g} MB"
            note(f"the page would be larger than {limit} with more models: {hint}name the models to include.")
            break
        if model["facts"]["items"] and "known_items" not in model:
            text = recorded_text(path, loaded)
            where = f" ({escape_line(text.path)})" if text.folder else ""
            why = not_usable(f"{path}{where}")
            way_out = "in the folder of the training"
            if not text.fingerprint:
                why = f"{path} does not record the hash of its training text"
                way_out = "from a checkpoint that does"
            note(f"{why}, so the page can't tell which items are new: convert it {way_out}.")
        found.append((path, model))
    return found
