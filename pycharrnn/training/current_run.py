"""CurrentRun: the objects that the events of a run share, and its length, which -minutes may change."""

from __future__ import annotations

import dataclasses
import math

from compat.charrnn import Checkpoint
from compat.checkpoint_fields import Option
from pycharrnn.common.errors import flag
from pycharrnn.training import recorded_options, resume, time_plan
from pycharrnn.training.calibration import Calibration
from pycharrnn.training.checkpoint_keeper import CheckpointKeeper
from pycharrnn.training.history import History
from pycharrnn.training.next_commands import NextCommands
from pycharrnn.training.pace import Pace, Stopwatch
from pycharrnn.training.reports import Callbacks, RunResult
from pycharrnn.training.run_lock import RunLock
from pycharrnn.training.run_log import RunLog
from pycharrnn.training.run_output import RunOutput
from pycharrnn.training.run_sizes import RunSizes
from pycharrnn.training.session import Session
from pycharrnn.training.shown_copies import ShownCopies
from pycharrnn.training.shown_sample import Draw
from pycharrnn.training.status_figures import StatusFigures
from pycharrnn.training.time_left import validation_steps
from pycharrnn.training.trainer import Trainer


class CurrentRun:
    """The objects that the events of a run share.

    Attributes:
        session: with the options that repeat the run as it is planned now.
        has_changed_length: whether -minutes has changed the number of iterations.
        calibration: the temperature that divides the logits after the last iteration, and the loss before; None
            until then, and without -calibrate.
        unrepeatable: why no flags repeat the run, as a clause; "" if some do.
    """

    def __init__(
        self,
        session: Session,
        trainer: Trainer,
        history: History,
        pace: Pace | None,
        output: RunOutput,
        draw: Draw | None,
        callbacks: Callbacks,
        lock: RunLock,
    ):
        settings, loader = session.settings, session.loader
        options, resumed = settings.options, settings.resumed
        self.session, self.trainer, self.history, self.pace = session, trainer, history, pace
        self.output, self.callbacks = output, callbacks
        self.has_changed_length = False
        self.calibration: Calibration | None = None
        self.unrepeatable = ""
        if resumed:
            self.unrepeatable = resume.why_unrepeatable(session, resumed)
        self._may_overfit = False  # whether a note has said so
        self.log: RunLog | None = None
        self.draw = draw if settings.display.show and not session.ranks.rank else None
        self.copies = ShownCopies(loader, settings.data.data_dir, settings.data.items)
        commands = NextCommands(
            settings.files.savefile,
            settings.data.items,
            resume_flags=options.resume_flags(),
            sample_flags=options.flags(("gpuid",)) if options.gpuid < 0 else [],
        )
        path, note = resumed.path if resumed else None, output.note
        self.keeper = CheckpointKeeper(
            settings.files, session.ranks, loader.ntrain, history, note, callbacks.on_save, commands, path, lock
        )
        self._sizes = RunSizes(
            done=history.done,
            ntrain=loader.ntrain,
            nval=loader.nval,
            characters=loader.batch_size * loader.seq_length,
        )
        every, calibrates = settings.files.eval_val_every, bool(settings.optimisation.calibrate)
        self.figures = StatusFigures(session.iterations, self._sizes, every, history.val_losses, calibrates)

    @property
    def iterations(self) -> int:
        """The length of the run as it is planned now."""
        return self.session.iterations

    def validates(self, i: int) -> bool:
        """Whether iteration `i` is followed by a validation."""
        return i % self.session.settings.files.eval_val_every == 0 or i == self.iterations

    def temperature_before(self, i: int) -> Option | None:
        """The temperature that divides the logits of a checkpoint of iteration `i` that is resumed; None without."""
        resumed = self.session.settings.resumed
        return resumed.checkpoint.opt.get(resume.CALIBRATED) if resumed and resumed.checkpoint.i == i else None

    def begin_log(self) -> None:
        """Open -log; the caller holds the lock. Errors: UserError."""
        session = self.session
        path, every = session.settings.files.log, session.settings.files.log_every_seconds
        if path and not session.ranks.rank:
            every = every if session.ranks.size == 1 else 0  # reading a loss is a collective call
            self.log = RunLog(path, self._sizes, self.figures.training_seconds, self.output.note, every)

    def change_length(self, i: int) -> None:
        """Change the number of iterations after iteration `i`, if -minutes calls for it."""
        if self.pace is None:
            return
        self._note_many_epochs(i)
        self.pace.stepped(i)
        iterations = self.pace.length(i, self.iterations)
        if iterations != self.iterations:
            self.session, self.has_changed_length = self.session.with_length(iterations, i), True
            self.figures.iterations = iterations
            self.callbacks.on_length(iterations)

    def _note_many_epochs(self, i: int) -> None:
        """Note once that a resumed run has had as many epochs as a new run of -minutes has at most."""
        most = time_plan.most_epochs(self.session.settings.options)
        if self._may_overfit or i <= most * self.session.loader.ntrain:
            return
        self._may_overfit = True
        self.output.note(
            f"the run has had {most:g} epochs, and goes on to the end of its {flag('minutes')}: it may learn the text"
            " by heart, which raises the validation loss; the best checkpoint stays."
        )

    def with_copies(self, checkpoint: Checkpoint, sample: bytes) -> Checkpoint:
        """Record in a checkpoint what its sample copied. Without -from_texts, leave it as char-rnn writes it."""
        found = self.copies.add(sample)
        if not found or not self.session.settings.options.from_texts:
            return checkpoint
        return dataclasses.replace(checkpoint, opt={**checkpoint.opt, **found.options()})

    def unfinished(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint for -resume to go on with: with -minutes it records those that are left."""
        if self.pace is None or checkpoint.i >= self.iterations:
            return checkpoint
        return dataclasses.replace(checkpoint, opt={**checkpoint.opt, "minutes": self.pace.minutes_left})

    def checkpoint(self, i: int) -> Checkpoint:
        """The run after iteration `i`. A collective call: every process must make it."""
        session, trainer, history = self.session, self.trainer, self.history
        trainer.store()
        opt = recorded_options.to_record(session.settings.options, session.loader.label_counts)
        if self.unrepeatable:
            opt[resume.UNREPEATABLE] = 1
        if self.calibration:
            opt[resume.CALIBRATED] = self.calibration.temperature
        elif (before := self.temperature_before(i)) is not None:
            opt[resume.CALIBRATED] = before
        return session.model.as_checkpoint(
            session.loader.vocab_mapping,
            opt,
            gradients=trainer.canonical_gradient(),
            train_losses=history.train_losses,
            val_losses=history.val_losses,
            val_loss=history.last_val_loss,
            i=i,
            epoch=i / session.loader.ntrain,
            state=trainer.state() if session.settings.files.save_state else None,
            text_fingerprint=session.fingerprint,
        )

    def result(self) -> RunResult:
        session, keeper = self.session, self.keeper
        return RunResult(session.settings.options, self.history, session.loader.ntrain, keeper.best, keeper.last)


def pace_of(session: Session, watch: Stopwatch, done: int) -> Pace | None:
    """The pace of a run with -minutes, of which `done` iterations are over; None for other runs."""
    settings, loader = session.settings, session.loader
    if not settings.minutes:
        return None
    goes_on = settings.resumed is not None and "minutes" in settings.resumed.overridden
    most = math.inf if goes_on else time_plan.most_epochs(settings.options) * loader.ntrain
    validation = validation_steps(loader.nval)
    calibrates = bool(settings.optimisation.calibrate)
    return Pace(settings.minutes, watch, settings.files.eval_val_every, done, validation, most, calibrates)
