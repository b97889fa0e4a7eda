"""Which files a run keeps: named checkpoints, the best, the latest. A disk that fails costs a save, not the run."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import time
from collections.abc import Callable, Sequence

import torch

from compat import charrnn, lua_format
from compat.run_state import RunState
from compat.whole_file import whole_link
from pycharrnn.common.errors import UserError
from pycharrnn.training import recorded_options
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.signals import Stopped

_ADVICE = "lower -learning_rate or -grad_clip"


def stem_of(opt: TrainOptions) -> str:
    """What the paths of all files of a run begin with: cv/lm_lstm"""
    return f"{opt.checkpoint_dir}/lm_{opt.savefile}"


def name_of(stem: str, epoch: float, val_loss: float) -> str:
    """Where a named checkpoint lies: cv/lm_lstm_epoch1.73_1.9188.t7"""
    return f"{stem}_epoch{lua_format.fixed(epoch, 2)}_{lua_format.fixed(val_loss, 4)}.t7"


def path_of(opt: TrainOptions, epoch: float, val_loss: float) -> str:
    """The same for a run with these options."""
    return name_of(stem_of(opt), epoch, val_loss)


def same_folder(a: str, b: str) -> bool:
    """Whether two paths lead to one folder that exists; an empty path is the current one."""
    try:
        return os.path.samefile(a or ".", b or ".")
    except (OSError, ValueError):  # ValueError: a file may record a path with a NUL
        return False


def remove_leavings(opt: TrainOptions) -> None:
    """Remove the temporary files of this -savefile that a run left which was killed; the lock says that none writes."""
    folder, stem = os.path.split(stem_of(opt))
    name = re.compile(rf"\.{re.escape(stem)}_(epoch[\d.]+_[-\w.]+|latest|best)\.t7\.\w{{8}}\.tmp", re.DOTALL)
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            if name.fullmatch(entry):
                os.unlink(os.path.join(folder, entry))


def best_of(val_losses: dict[int, float]) -> int | None:
    """The first iteration with the lowest validation loss, of those that are numbers."""
    finite = {i: loss for i, loss in val_losses.items() if math.isfinite(loss)}
    return min(sorted(finite), key=finite.get, default=None)


def out_of_patience(val_losses: dict[int, float], patience: int) -> bool:
    """Whether the last `patience` validations (0: any number) brought no better one."""
    best = best_of(val_losses)
    since = sum(best is None or i > best for i in val_losses)
    return 0 < patience <= since


class Saver:
    """The files of one run.

    Args:
        run: run.Run. text: the fingerprint of input.txt.
        train_losses, val_losses: the run's, which grow while it goes on.
        note: prints a line on stderr.
        resumed: the checkpoint that the run goes on from.
    """

    def __init__(
        self,
        opt: TrainOptions,
        run,
        text: str,
        train_losses: Sequence[float],
        val_losses: dict[int, float],
        note: Callable[[str], None],
        resumed: str | None = None,
    ):
        self._opt, self._run, self._text, self._note = opt, run, text, note
        self._train_losses, self._val_losses = train_losses, val_losses
        self._latest = f"{stem_of(opt)}_latest.t7"
        self._best = f"{stem_of(opt)}_best.t7"
        self._linked: int | None = None  # iteration that `best` shows
        self._failure = ""  # of the last attempt to save, in words: an exception would keep the checkpoint in memory
        self._noted: set[str] = set()
        self._resumed = resumed
        self._good = resumed  # path of the last file with the run as it should be
        self._good_at = 0  # and its iteration, of those written here
        self._bad = False  # the last named checkpoint holds numbers that are not finite
        self._clock = time.monotonic()

    # -- the files -----------------------------------------------------------------------------------------------------

    def named(self, i: int, epoch: float) -> None:
        """The checkpoint of a validation; then best, latest and -keep."""
        val_loss = self._val_losses[i]
        path = path_of(self._opt, epoch, val_loss)
        state = self._state()
        good = math.isfinite(val_loss) and self._finite()
        self._bad = not good
        if self._bad:
            self._note(f"{path} holds numbers that are not finite: {_ADVICE}; {self._last_good()}.")
        if not self._write(path, i, epoch, state) or not good:
            return
        self._good, self._good_at = path, i
        best = self._best_written()
        if best != self._linked and self._link(self._path_at(best), self._best):
            self._linked = best
        if self._opt.save_every_minutes or os.path.exists(self._latest):
            self._link(path, self._latest)
        if self._opt.keep:
            self._delete_all_but(self._opt.keep, path)

    def due(self) -> bool:
        """Whether -save_every_minutes have passed since the last attempt to save."""
        minutes = self._opt.save_every_minutes
        return 0 < minutes <= (time.monotonic() - self._clock) / 60

    def latest(self, i: int, epoch: float) -> None:
        """The run as it stands, unless it has just been saved or is past saving."""
        state = self._state()
        saved_now = self._good_at == i and self._good is not None and os.path.isfile(self._good)
        if i and not saved_now and self._finite() and self._write(self._latest, i, epoch, state):
            self._good, self._good_at = self._latest, i

    def _state(self) -> RunState | None:
        """What -resume needs. Processes share it out, so all ask for it, whatever becomes of the file."""
        self._run.store()
        return self._run.state(self._text) if self._opt.save_state else None

    def _finite(self) -> bool:
        return bool(torch.isfinite(self._run.model.flat.detach()).all())

    def _write(self, path: str, i: int, epoch: float, state: RunState | None) -> bool:
        """Save, and remember how it went. A folder that has gone is made anew. Only the first process writes."""
        if self._run.ranks.rank:
            return False
        try:
            try:
                self._save(path, i, epoch, state)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self._note(f"{os.path.dirname(path)} had gone: made anew.")
                self._save(path, i, epoch, state)
        except OSError as e:
            if not self._failure:
                self._note(f"can't write {path} ({_words(e)}): trying again at the next save; {self._last_good()}.")
            self._failure = _words(e)
            return False
        finally:
            self._clock = time.monotonic()
        self._failure = ""
        return True

    def _save(self, path: str, i: int, epoch: float, state: RunState | None) -> None:
        run = self._run
        checkpoint = run.model.as_checkpoint(
            run.loader.vocab_mapping,
            recorded_options.to_record(self._opt),
            gradients=run.bptt.canonical(run.gradient),
            train_losses=self._train_losses,
            val_losses=self._val_losses,
            val_loss=self._val_losses[max(self._val_losses)] if self._val_losses else None,
            i=i,
            epoch=epoch,
            state=state,
        )
        charrnn.save(path, checkpoint)

    def _link(self, source: str, target: str) -> bool:
        try:
            whole_link(source, target)
        except FileNotFoundError:  # the user removed a checkpoint
            return False
        except OSError as e:
            self._once(target, f"can't make {target}, a copy of {source} ({_words(e)}).")
            return False
        return True

    def _delete_all_but(self, count: int, newest: str) -> None:
        """Keep the `count` best and the newest of this run's named checkpoints; other runs' files are not touched."""
        order = sorted(self._val_losses, key=lambda i: (not math.isfinite(self._val_losses[i]), self._val_losses[i], i))
        paths = [self._path_at(i) for i in order]
        kept = {*list(dict.fromkeys(paths))[:count], newest}
        for path in set(paths) - kept:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _path_at(self, i: int) -> str:
        return path_of(self._opt, i / self._run.loader.ntrain, self._val_losses[i])

    def _best_written(self) -> int | None:
        return best_of({i: loss for i, loss in self._val_losses.items() if os.path.exists(self._path_at(i))})

    def _once(self, key: str, line: str) -> None:
        if key not in self._noted:
            self._noted.add(key)
            self._note(line)

    def _last_good(self) -> str:
        """Which checkpoint to go back to, in words; one that is still there."""
        finite = [i for i, loss in self._val_losses.items() if math.isfinite(loss)]
        paths = [self._good, *(self._path_at(i) for i in sorted(finite, reverse=True)), self._resumed]
        found = next((path for path in paths if path and os.path.isfile(path)), None)
        return f"the last good checkpoint is {found}" if found else "there is no good checkpoint"

    # -- the end -------------------------------------------------------------------------------------------------------

    def stopped(self, cause: str, status: int, i: int, epoch: float) -> Stopped:
        """Save the run as it stands; what to raise when something asked for its end."""
        how = self._saved_at_the_end(i, epoch)
        if self._run.ranks.rank:
            return Stopped("", status or 1)  # the first process says it
        return Stopped(f"stopped by {cause or 'a signal to another process'} after iteration {i}; {how}", status or 1)

    def text_changed(self, what: str, i: int, epoch: float) -> Stopped:
        """Save the run as it stands; what to raise when its text can't be read on, for which `what` is a sentence."""
        what = what.removesuffix(".")
        if self._run.ranks.size > 1:  # the others wait in the middle of a step, and can't help to save it
            return Stopped(f"{what}; {self._last_good()}.", 1)
        return Stopped(f"{what}; stopped after iteration {i}; {self._saved_at_the_end(i, epoch)}", 1)

    def _saved_at_the_end(self, i: int, epoch: float) -> str:
        """Save, and say how to go on."""
        self.latest(i, epoch)
        if self._good_at == i and i:
            return f"go on with: pycharrnn train -resume {shlex.quote(self._good)}"
        why = self._failure or ("its numbers are not finite" if i else "nothing has been trained")
        return f"that could not be saved ({why}), {self._last_good()}."

    def bad_numbers(self) -> Stopped:
        """What to raise when the loss is NaN or explodes: the last good checkpoint is one that was validated."""
        if self._run.ranks.rank:
            return Stopped("", 3)
        limit = 3 * self._train_losses[0]
        good = [i for i, loss in self._val_losses.items() if loss <= limit and os.path.exists(self._path_at(i))]
        path = self._path_at(max(good)) if good else self._resumed
        if path and not os.path.exists(path):  # -keep, or the user, removed it
            path = None
        again = f"go on from the last good checkpoint, -resume {shlex.quote(path)}" if path else self._last_good()
        return Stopped(f"training went astray: {_ADVICE}; {again}.", 3)

    def finish(self) -> None:
        """Say which checkpoint is the best and how to sample from it.

        Errors: UserError if the end of the run is in no file; Stopped if it is not numbers.
        """
        if self._bad:
            raise self.bad_numbers()
        if self._run.ranks.rank:
            return
        if self._failure:
            where = f"{self._opt.checkpoint_dir} ({self._failure})"
            raise UserError(f"the last checkpoint could not be written to {where}; {self._last_good()}.")
        best = self._best_written()
        if best is None:
            return
        path, loss = self._path_at(best), lua_format.fixed(self._val_losses[best], 4)
        shown = self._best if self._linked == best and os.path.exists(self._best) else path
        gpu = " -gpuid -1" if self._opt.gpuid < 0 else ""
        self._note(f"finished; the best checkpoint is {path}, with validation loss {loss}.")
        self._note(f"sample from it with: pycharrnn sample {shlex.quote(shown)}{gpu}")


def _words(error: OSError) -> str:
    return error.strerror or str(error)
