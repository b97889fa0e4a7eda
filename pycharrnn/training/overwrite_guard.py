"""What an earlier run has left where a new one is going to write: an unfinished run is not overwritten by accident."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.training import recorded_options, run_files
from pycharrnn.training.history import out_of_patience
from pycharrnn.training.run_lock import is_held
from pycharrnn.training.settings import FileSettings


def check(files: FileSettings, resumed: str | None, note: Callable[[str], None]) -> None:
    """See what lm_<savefile>_latest.t7 in -checkpoint_dir is, which a new run is going to overwrite.

    An unfinished run is only overwritten with -overwrite 1. A finished one is, as in char-rnn, whose checkpoints of
    the same names would be; `note` says where what `best` and `latest` were can still be found.

    Args:
        resumed: the checkpoint that the run goes on from. If it is one of these files, it is the same run.

    Errors: UserError.
    """
    stem = files.stem
    latest, best = run_files.latest_checkpoint(stem), run_files.best_checkpoint(stem)
    goes_on = resumed is not None and _is_of(resumed, stem)
    if goes_on or not os.path.lexists(latest) or is_held(files):  # then the lock is what this training will fail at
        return
    other = f"choose another {flag('savefile')} or {flag('checkpoint_dir')}"
    ways_on = f"{other}, or give it up with {flag('overwrite', 1)}"
    try:
        found = checkpoint.load(latest)
    except UserError as e:
        if not files.overwrite:
            raise UserError(f"{latest}, which this training would overwrite, is no checkpoint ({e}): {ways_on}.") from e
        return
    if _is_finished(found):
        for path, name in ((best, _name_of(_loaded(best), stem)), (latest, _name_of(found, stem))):
            note(f"{path} is of a finished run; it was {name}, and becomes this run's.")
    elif files.overwrite:
        note(f"-overwrite 1 gives up the unfinished run {latest}: {_described(found)}.")
    else:
        raise UserError(
            f"{latest} is an unfinished run: {_described(found)}; go on with it by {flag('resume', latest)}, {ways_on}."
        )


def _is_of(path: str, stem: str) -> bool:
    """Whether a checkpoint is one that training with this stem writes: cv/lm_lstm_latest.t7 of cv/lm_lstm."""
    folder, name = os.path.split(path)
    return name.startswith(os.path.basename(stem) + "_") and run_files.same_folder(folder, os.path.dirname(stem))


def _is_finished(found: Checkpoint) -> bool:
    """Whether the run that wrote a checkpoint ended with it, at -max_epochs or by -patience."""
    max_epochs, patience = (recorded_options.find(found, name) or 0 for name in ("max_epochs", "patience"))
    per_epoch = found.i / found.epoch if found.epoch > 0 else 0
    iterations = max_epochs * round(per_epoch) if math.isfinite(per_epoch) else 0
    return 0 < iterations < found.i + 1 or out_of_patience(found.val_losses, patience)


def _described(found: Checkpoint) -> str:
    """Text, iteration and loss of an unfinished run."""
    words = [f"iteration {found.i}, epoch {lua_format.fixed(found.epoch, 2)}"]
    data_dir = recorded_options.find(found, "data_dir")
    if data_dir is not None:
        words.insert(0, f"text of -data_dir {escape_line(data_dir)}")
    if found.val_losses:
        words.append(f"validation loss {lua_format.fixed(found.val_losses[max(found.val_losses)], 4)}")
    elif found.train_losses:
        words.append(f"training loss {lua_format.fixed(found.train_losses[-1], 4)}")
    return ", ".join(words)


def _loaded(path: str) -> Checkpoint | None:
    """The checkpoint at `path`; None where there is none."""
    try:
        return checkpoint.load(path)
    except UserError:
        return None


def _name_of(found: Checkpoint | None, stem: str) -> str:
    """The named checkpoint that `best` or `latest` is a second name of, by what it says of itself."""
    if found is None:
        return "no checkpoint"
    if found.val_loss is None:
        return f"iteration {found.i}, under no other name"
    name = run_files.named_checkpoint(stem, found.epoch, found.val_loss)
    return f"{name}, which stays" if os.path.exists(name) else f"{name}, which is there no more"
