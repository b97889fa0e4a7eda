"""Refuses to train over the checkpoints of an unfinished run, or over the model that a new run starts from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint, formats, run_names
from pycharrnn.checkpoints.folder_runs import continues, iterations_per_epoch
from pycharrnn.common import regular_files
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag, on_page, wordings
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.same_file import same_file
from pycharrnn.common.shell_words import quoted
from pycharrnn.training import recorded_options, run_files
from pycharrnn.training.history import out_of_patience
from pycharrnn.training.initial_checkpoint import InitialCheckpoint, ResumedRun
from pycharrnn.training.settings import FileSettings

_ANOTHER_NAME = f"choose another {flag('savefile')}"
_ANOTHER_FILE = f"{_ANOTHER_NAME} or {flag('checkpoint_dir')}"
_OR_LOSE_IT = f"or give it up with {flag('overwrite', 1)}"
_WAYS_ON = on_page(_ANOTHER_NAME, elsewhere=f"{_ANOTHER_FILE}, {_OR_LOSE_IT}")


def check(files: FileSettings, start: InitialCheckpoint | None, note: PrintLine) -> None:
    """Check the files lm_<savefile>_best.t7 and _latest.t7 in -checkpoint_dir, which a training replaces.

    Only -overwrite 1 replaces an unfinished run, the model of -init_from or a file that is not a checkpoint. A finished
    run is replaced, as in char-rnn; `note` prints the names that its checkpoints keep. A state that is continued, by
    -resume of it or of a later one of its run, is not lost. If the newest state of this name is in another format, its
    run counts too: its files would mix with those of this one. A symbolic link is refused: it may lead out of a folder
    that came from somebody else, or to another checkpoint of the run. Errors: UserError.
    """
    stem, ending = files.stem, files.ending
    latest, best = run_names.latest_checkpoint(stem, ending), run_names.best_checkpoint(stem, ending)
    try:
        for path in (best, latest):
            if os.path.lexists(path):  # an unusable -checkpoint_dir has its own message, later
                regular_files.check(path)
    except OSError as e:
        raise UserError(f"can't write {e.filename}: {e.strerror}.") from e
    resumed = start if isinstance(start, ResumedRun) and run_files.is_of_run(start.path, stem) else None
    if resumed and same_file(resumed.path, latest):
        return
    loaded = _newest(latest, files, resumed)
    if _is_continued(loaded, resumed):
        return
    unfinished = {path: state for path, state in _unfinished(stem, latest, loaded) if not _is_continued(state, resumed)}
    if not files.overwrite:
        _refuse_unfinished(unfinished)
        if start is not None and not isinstance(start, ResumedRun):
            _refuse_initial(start, (best, latest))
    replaced = _loaded(best)
    # No note on a best checkpoint that was written before the resumed state: the run keeps it.
    if loaded is not None and latest not in unfinished:
        for path, what, state in ((best, "best", replaced), (latest, "newest", loaded)):
            if os.path.lexists(path) and not _is_continued(state, resumed):
                note(_on_replacing(path, what, state, stem, ending))
    elif os.path.lexists(best) and not os.path.lexists(latest) and not _is_continued(replaced, resumed):
        if not files.overwrite and not (replaced and run_files.with_loss_in_name(best, replaced)):
            is_what = "the only checkpoint of its run" if replaced else "not a checkpoint"
            raise UserError(f"{best}, which this training would overwrite, is {is_what}: {_WAYS_ON}.")
        note(_on_replacing(best, "best", replaced, stem, ending))
    for path, state in unfinished.items():
        note(f"{flag('overwrite', 1)} gives up the unfinished run {path}: {_described(state)}.")


def _newest(latest: str, files: FileSettings, resumed: ResumedRun | None) -> Checkpoint | None:
    """The checkpoint at `latest`; None without a file. Errors: UserError for a file that is not a checkpoint."""
    if not os.path.lexists(latest):
        return None
    try:
        return checkpoint.load(latest)
    except UserError as e:
        if files.overwrite or resumed:  # -resume of a folder has passed it over
            return None
        raise UserError(
            f"{latest}, which this training would overwrite, is not a checkpoint ({e.message}): {_WAYS_ON}."
        ) from e


def _is_continued(state: Checkpoint | None, resumed: ResumedRun | None) -> bool:
    """Whether -resume continues this state, or a later one of its run."""
    return state is not None and resumed is not None and continues(resumed.checkpoint, state)


def _unfinished(stem: str, latest: str, loaded: Checkpoint | None) -> Iterator[tuple[str, Checkpoint]]:
    """Path and state of unfinished runs with these names: in `latest`, and newer in another format."""
    states = [(latest, loaded)]
    if newer := _newer_in_another_format(stem, latest):
        states.append((newer, _loaded(newer)))
    return ((path, state) for path, state in states if state is not None and not _is_finished(state))


def _refuse_unfinished(unfinished: Mapping[str, Checkpoint]) -> None:
    """Errors: UserError for the first run, if there is one. `unfinished`: path -> its state."""
    for path, state in unfinished.items():
        resuming = wordings(f"pycharrnn train -resume {quoted(path)}", f"resume={path!r}")
        ways_on = on_page(
            f"{_ANOTHER_NAME}, or go on with it by `{resuming}`",
            elsewhere=f"go on with it by {resuming}, {_ANOTHER_FILE}, {_OR_LOSE_IT}",
        )
        raise UserError(f"{path} is an unfinished run: {_described(state)}; {ways_on}.")


def _refuse_initial(start: InitialCheckpoint, replaced: Iterable[str]) -> None:
    """Errors: UserError if the model of -init_from is one of the files that are replaced, and has no other name."""
    for path in replaced:
        if same_file(start.path, path) and not run_files.with_loss_in_name(path, start.checkpoint):
            raise UserError(f"this training would overwrite {path}, from which it starts: {_WAYS_ON}.")


def _newer_in_another_format(stem: str, latest: str) -> str | None:
    """The newest state of a run's name if another format has it; None if the file `latest` is the newest, or none is.

    An older one was given up when `latest` was written.
    """
    written = dict[str, int]()
    for ending in formats.IN_FOLDERS:
        path = run_names.latest_checkpoint(stem, ending)
        with contextlib.suppress(OSError, ValueError):
            written[path] = os.stat(path).st_mtime_ns
    newest = max(written, key=lambda path: (written[path], path == latest), default=latest)
    return None if newest == latest else newest


def _is_finished(loaded: Checkpoint) -> bool:
    """Whether the run that wrote a checkpoint ended with it, at -max_epochs or by -patience."""
    max_epochs, patience = (recorded_options.find(loaded, name) or 0 for name in ("max_epochs", "patience"))
    iterations = max_epochs * iterations_per_epoch(loaded.i, loaded.epoch)
    return 0 < iterations < loaded.i + 1 or out_of_patience(loaded.val_losses, patience)


def _described(loaded: Checkpoint) -> str:
    """Text, iteration and loss of an unfinished run."""
    words = [f"iteration {loaded.i}, epoch {lua_format.fixed(loaded.epoch, 2)}"]
    data_dir = recorded_options.find(loaded, "data_dir")
    if data_dir is not None:
        words.insert(0, f"text of {flag('data_dir', escape_line(data_dir))}")
    if loaded.val_losses:
        words.append(f"validation loss {lua_format.fixed(loaded.val_losses[max(loaded.val_losses)], 4)}")
    elif loaded.train_losses:
        words.append(f"training loss {lua_format.fixed(loaded.train_losses[-1], 4)}")
    return ", ".join(words)


def _loaded(path: str) -> Checkpoint | None:
    """The checkpoint at `path`; None if it can't be read."""
    try:
        return checkpoint.load(path)
    except UserError:
        return None


def _on_replacing(path: str, what: str, loaded: Checkpoint | None, stem: str, ending: str) -> str:
    """A sentence on a file of a finished run, its `what` checkpoint, which this run replaces by its own."""
    if loaded is None:
        return f"this run replaces {path}, which is not a checkpoint."
    if loaded.val_loss is not None:
        name = run_names.named_checkpoint(stem, loaded.epoch, loaded.val_loss, ending)
        if os.path.exists(name):
            return f"this run replaces {path}; the {what} checkpoint of the finished run before stays as {name}."
    return f"this run replaces {path}, the only checkpoint of iteration {loaded.i} of a finished run."
