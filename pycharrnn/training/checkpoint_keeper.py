"""Writes and deletes the checkpoints of a run: named, best and latest. A failed write does not end the run."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from compat import charrnn, lua_format
from compat.atomic_write import atomic_link
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint as checkpoints
from pycharrnn.checkpoints import formats, run_names, safetensors_file
from pycharrnn.common import regular_files
from pycharrnn.common.errors import UserError, flag, on_page
from pycharrnn.common.file_lock import LockHeld
from pycharrnn.common.losses import best_first, best_iteration, finite
from pycharrnn.common.printing import PrintLine, PrintOnce
from pycharrnn.common.same_file import same_file
from pycharrnn.training import run_files
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.history import History
from pycharrnn.training.next_commands import NextCommands
from pycharrnn.training.run_lock import RunLock, another_training
from pycharrnn.training.settings import FileSettings
from pycharrnn.training.signals import RunStopped

_LOWER = f"lower {flag('learning_rate')} or {flag('grad_clip')}"


class CheckpointKeeper:
    """Writes and deletes the checkpoints of one run, in its first process only, and says at its end what it wrote.

    Args:
        ntrain: iterations of an epoch. note: prints a line on stderr. on_save: as in Callbacks.
        commands: to recommend at the end. resumed: path of the checkpoint of -resume; None for a new run.
        lock: of the run.
    """

    def __init__(
        self,
        files: FileSettings,
        ranks: Ranks,
        ntrain: int,
        history: History,
        note: PrintLine,
        on_save: Callable[[str], object],
        commands: NextCommands,
        resumed: str | None,
        lock: RunLock,
    ):
        self._files, self._ranks, self._ntrain, self._history, self._note = files, ranks, ntrain, history, note
        self._on_save = on_save
        self._commands, self._stem, self._ending, self._lock = commands, files.stem, files.ending, lock
        self._latest = run_names.latest_checkpoint(self._stem, self._ending)
        self._best = run_names.best_checkpoint(self._stem, self._ending)
        # Of the checkpoint that the file `best` holds; None before this run has written it.
        self._iteration_of_best = self._left_as_best() if resumed else None
        self._failure = ""  # of the last save; a string, since an exception would keep the checkpoint in memory
        self._note_once = PrintOnce(note)
        self._resumed = resumed
        self._counts_resumed = resumed is not None and self._is_beside(resumed)  # as the file of its iteration
        self._good = resumed  # path of the newest checkpoint with finite weights
        self._iteration_of_good = 0  # that of `_good`; 0 for the checkpoint of -resume
        self._last_is_bad = False  # whether the last named checkpoint has NaN or infinity
        self._last_attempt = time.monotonic()

    # -- the files -----------------------------------------------------------------------------------------------------

    @property
    def best(self) -> str | None:
        """The path of the checkpoint with the lowest validation loss of those that are there; None without one."""
        best = self._best_written()
        return None if best is None else self._file_of(best)

    @property
    def last(self) -> str | None:
        """The path of the newest checkpoint with finite weights."""
        return self._good

    def path_of(self, i: int) -> str:
        """The path of the named checkpoint of the validation after iteration `i`."""
        return run_names.named_checkpoint(self._stem, i / self._ntrain, self._history.val_losses[i], self._ending)

    def save_named(self, checkpoint: Checkpoint, latest: Checkpoint) -> str | None:
        """Write the checkpoint of a validation, update best and latest, and delete by -keep.

        latest: what is written as latest, and resumed: the same checkpoint, or that of a run that is not over.

        Returns: the path of the checkpoint; None if it could not be written.
        """
        i = checkpoint.i
        path = self.path_of(i)
        good = i in finite(self._history.val_losses) and checkpoint.network.is_finite()
        self._last_is_bad = not good
        if self._last_is_bad:
            self._note(f"{path} holds numbers that are not finite: {_LOWER}; {self._last_good()}.")
        if not self._write(path, checkpoint):
            return None
        if good:
            self._good, self._iteration_of_good = path, i
            self._update_others(path, None if latest is checkpoint else latest)
        return path

    def complete(self, resumed: Checkpoint) -> None:
        """Do what a run that was killed after writing its last named checkpoint, `resumed`, has left undone."""
        losses, source = self._history.val_losses, self._resumed
        if self._ranks.rank or source is None or resumed.i not in finite(losses) or not resumed.network.is_finite():
            return
        path = self.path_of(resumed.i)
        if same_file(path, source):
            self._update_others(path)

    def _update_others(self, path: str, latest: Checkpoint | None = None) -> None:
        """Update best and latest after the named checkpoint at `path`; delete by -keep. `latest`: as in save_named."""
        best = self._best_written()
        if best is not None and best != self._iteration_of_best and self._link(self._file_of(best), self._best):
            self._iteration_of_best = best
        if self._files.save_every_minutes or os.path.exists(self._latest):
            if latest is None:
                self._link(path, self._latest)
            elif self._write(self._latest, latest):
                self._good = self._latest
        if self._files.keep:
            self._delete_all_but(self._files.keep, path)

    def is_due(self) -> bool:
        """Whether -save_every_minutes have passed since the last save or attempt; only the first process counts."""
        minutes = self._files.save_every_minutes
        return not self._ranks.rank and 0 < minutes <= (time.monotonic() - self._last_attempt) / 60

    def save_latest(self, checkpoint: Checkpoint) -> None:
        """Write the latest checkpoint, unless the same one has been saved or weights are not finite."""
        i = checkpoint.i
        saved_now = self._iteration_of_good == i and self._good is not None and os.path.isfile(self._good)
        is_same = saved_now and "minutes" not in checkpoint.opt  # -minutes: less time is left than was saved
        if i and not is_same and checkpoint.network.is_finite() and self._write(self._latest, checkpoint):
            self._good, self._iteration_of_good = self._latest, i

    def _write(self, path: str, checkpoint: Checkpoint) -> bool:
        if self._ranks.rank:
            return False
        try:
            try:
                self._lock.renew()
                self._save(path, checkpoint)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self._note(f"the folder {os.path.dirname(path)} was missing and has been created again.")
                self._lock.renew()
                self._save(path, checkpoint)
        except (OSError, LockHeld) as e:  # LockHeld: another training has made the folder
            if not self._failure:
                said = f"can't write {path} ({_reason(e)}): trying again at the next save; {self._last_good()}."
                self._note(said)
                self._on_save(said)
            self._failure = _reason(e)
            return False
        finally:
            self._last_attempt = time.monotonic()
        if self._failure:
            self._failure = ""
            self._note(f"saving works again: {path} is written.")
            self._on_save("")
        return True

    def _save(self, path: str, checkpoint: Checkpoint) -> None:
        regular_files.check(path)  # a link, which may be a stranger's, would lead to another file
        if self._ending == ".t7":
            charrnn.save(path, checkpoint)
        else:
            safetensors_file.save(path, checkpoint, formats.DEFAULT)

    def _link(self, source: str, target: str) -> bool:
        try:
            atomic_link(source, target)
        except FileNotFoundError:  # the user removed a checkpoint
            return False
        except OSError as e:
            self._note_once(target, f"can't make {target}, a copy of {source} ({_reason(e)}).")
            return False
        return True

    def _delete_all_but(self, count: int, newest: str) -> None:
        paths = [self.path_of(i) for i in best_first(self._history.val_losses)]
        kept = {*list(dict.fromkeys(paths))[:count], newest}
        for path in set(paths) - kept:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _file_of(self, i: int) -> str:
        """The file of the validation after iteration `i`.

        That is its named checkpoint; or `best`, if the user removed that name of it; or the checkpoint of -resume, if
        the user had given it another name.
        """
        path = self.path_of(i)
        if os.path.exists(path):
            return path
        if i == self._iteration_of_best:
            return self._best
        return self._resumed if i == self._history.done and self._resumed and self._counts_resumed else path

    def _is_beside(self, path: str) -> bool:
        """Whether a checkpoint is in the folder and the format of the run, and is neither `best` nor `latest`."""
        # By its name: latest may be a hard link to it, which the run replaces.
        name = os.path.normcase(os.path.basename(path))
        written = [os.path.normcase(os.path.basename(one)) for one in (self._best, self._latest)]
        is_here = run_files.same_folder(os.path.dirname(path), os.path.dirname(self._stem))
        return is_here and os.path.splitext(name)[1] == self._ending and name not in written

    def _best_written(self) -> int | None:
        losses = self._history.val_losses
        return best_iteration({i: loss for i, loss in losses.items() if os.path.exists(self._file_of(i))})

    def _left_as_best(self) -> int | None:
        """The iteration of the best validation of a resumed run if its only file is `best`; else None."""
        losses = self._history.val_losses
        best = best_iteration(losses)
        if best is None or os.path.exists(self.path_of(best)):
            return None
        try:
            found = checkpoints.load(self._best)
        except UserError:
            return None
        return best if (found.i, found.val_loss) == (best, losses[best]) else None

    def _last_good(self) -> str:
        validated = sorted(finite(self._history.val_losses), reverse=True)
        paths = [self._good, *map(self._file_of, validated), self._resumed]
        found = next((path for path in paths if path and os.path.isfile(path)), None)
        return f"the last good checkpoint is {found}" if found else "there is no good checkpoint"

    # -- the end -------------------------------------------------------------------------------------------------------

    def stopped(self, cause: str, status: int, checkpoint: Checkpoint) -> RunStopped:
        """Save the run; return the exception for a requested stop."""
        how = self._saved_at_the_end(checkpoint)
        if self._ranks.rank:
            return RunStopped("", status or 1)  # the first process prints the message
        by = on_page("", elsewhere=f" by {cause or 'a signal to another process'}")
        return RunStopped(f"stopped{by} after iteration {checkpoint.i}{how}", status or 1)

    def text_changed(self, what: str, checkpoint: Checkpoint | None) -> RunStopped:
        """Save the run if there is a `checkpoint`; return the exception for a changed text, with the fault `what`."""
        what = what.removesuffix(".")
        if checkpoint is None:
            # Only the first process knows which checkpoints it has written.
            advice = f"continue with {flag('resume')}" if self._ranks.rank else self._last_good()
            return RunStopped(f"{what}; {advice}.", 1)
        return RunStopped(f"{what}; stopped after iteration {checkpoint.i}{self._saved_at_the_end(checkpoint)}", 1)

    def _saved_at_the_end(self, checkpoint: Checkpoint) -> str:
        """Save; return the end of a sentence that says how to continue."""
        self.save_latest(checkpoint)
        if self._good is not None and self._iteration_of_good == checkpoint.i and checkpoint.i:
            self._note(self._commands.sample(self._good))
            return self._commands.resume(self._good)
        why = self._failure or ("its numbers are not finite" if checkpoint.i else "nothing has been trained")
        said = f"that could not be saved ({why}), {self._last_good()}."
        self._on_save(said)
        return f"; {said}"

    def diverged(self) -> RunStopped:
        """The exception for a NaN or exploding loss, which names the newest good checkpoint."""
        if self._ranks.rank:
            return RunStopped("", 3)
        limit, losses = self._history.max_loss, self._history.val_losses
        good = [i for i, loss in losses.items() if loss <= limit and os.path.exists(self._file_of(i))]
        path = self._file_of(max(good)) if good else self._resumed
        if good and self._iteration_of_good == max(good):
            path = self._good  # which may record the time that is left
        if path and not os.path.exists(path):  # -keep, or the user, removed it
            path = None
        again = f"go on from the last good checkpoint, {flag('resume', path)}" if path else self._last_good()
        if path and not same_file(path, self._latest) and self._latest_is_after(max(good, default=self._history.done)):
            again += f", and give up {self._latest} with {flag('overwrite', 1)}"
        return RunStopped(f"training diverged: {_LOWER}; {again}.", 3)

    def _latest_is_after(self, i: int) -> bool:
        """Whether the file `latest` is a checkpoint of a later iteration than `i`, also one before -resume."""
        try:
            return bool(checkpoints.load(self._latest).i > i)
        except UserError:
            return False

    def finish(self) -> None:
        """Print the best checkpoint and the commands that use it. Errors: UserError, RunStopped if the last failed."""
        if self._last_is_bad:
            raise self.diverged()
        if self._ranks.rank:
            return
        if self._failure:
            where = f"{self._files.checkpoint_dir} ({self._failure})"
            raise UserError(f"the last checkpoint could not be written to {where}; {self._last_good()}.")
        best = self._best_written()
        if best is None:
            return
        path, loss = self._file_of(best), lua_format.fixed(self._history.val_losses[best], 4)
        sampled = self._best if self._iteration_of_best == best and os.path.exists(self._best) else path
        self._note(f"finished; the best checkpoint is {path}, with validation loss {loss}.")
        lowest = best_iteration(self._history.val_losses)
        if lowest is not None and lowest != best:  # beside the resumed checkpoint, in another folder or format
            loss = lua_format.fixed(self._history.val_losses[lowest], 4)
            self._note(
                f"iteration {lowest} had a lower validation loss, {loss}; its checkpoint is not among these files."
            )
        self._note(self._commands.sample(sampled))
        self._note(self._commands.page(sampled))


def _reason(error: OSError | LockHeld) -> str:
    if isinstance(error, LockHeld):
        return f"{another_training(error)} writes there"
    return error.strerror or str(error)
