"""Training, top to bottom in the order of events. Source: train.lua."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Collection
from contextlib import closing, nullcontext

import torch

from compat import lua_format
from pycharrnn.common.errors import flag, worded
from pycharrnn.common.losses import best_iteration
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.text.batches import VAL
from pycharrnn.text.corpus import Corpus
from pycharrnn.text.token_text import TextChanged
from pycharrnn.training import learning_rate, recipes, resume, run_files, step_line, threads
from pycharrnn.training.current_run import CurrentRun, pace_of
from pycharrnn.training.history import History, out_of_patience
from pycharrnn.training.machine import process_from_environment
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.pace import Stopwatch
from pycharrnn.training.reports import Callbacks, RunResult, TrainStep, Validation
from pycharrnn.training.run_lock import RunLock
from pycharrnn.training.run_output import RunOutput
from pycharrnn.training.session import Session, prepare
from pycharrnn.training.shown_sample import Draw, printed, shown_sample
from pycharrnn.training.signals import GracefulStop, RunStopped
from pycharrnn.training.trainer import Trainer

_NAN = (
    "loss is NaN.  This usually indicates a bug.  Please check the issues page for existing issues, or create a new"
    " issue, if none exist.  Ideally, please state: your operating system, 32-bit/64-bit, your blas version,"
    " cpu/cuda/cl?"
)

_NO_CALLBACKS = Callbacks()


def train(
    opt: TrainOptions,
    given: Collection[str] | None = None,
    *,
    say: PrintLine = print,
    note: PrintLine = lambda line: print(worded(line), file=sys.stderr),
    draw: Draw | None = None,
    callbacks: Callbacks = _NO_CALLBACKS,
    corpus: Corpus | None = None,
    watch: Stopwatch | None = None,
) -> RunResult:
    """Train a model and write its checkpoints.

    Args:
        given: names of options that override those of -resume or a recipe; None: all that differ from their default.
        say: prints the original's log lines. note: prints all other lines.
        draw: samples text for -show; None for no samples.
        callbacks: called by the first process.
        corpus: the text, written once all checks have passed; None: data_dir/input.txt.
        watch: the time since the command began, for -minutes; None: since now.

    Errors: UserError; OSError; RunStopped, with the result so far, after a signal, a KeyboardInterrupt of a callback,
        NaN or a diverging loss; other exceptions of callbacks, which leave the run unsaved.
    """
    watch = watch or Stopwatch.start()
    process = process_from_environment()
    if process.rank:
        say = note = print_nothing  # the first process prints for all
        callbacks = _NO_CALLBACKS
        opt = dataclasses.replace(opt, progress=0)
    output = RunOutput(say, note, opt.progress)
    session = _with_more_time(prepare(opt, given, process, output.say, output.note, corpus, watch))
    with closing(session.loader):
        settings = session.settings
        threads.set_num_threads(settings.machine.threads)
        trainer = session.make_trainer(output.note)
        threads.note_backend(settings.machine, trainer.bptt.reason, output.note)
        history = _history(session, trainer, output)
        pace = pace_of(session, watch, history.done)
        held = RunLock(settings.files, output.note)
        run = CurrentRun(session, trainer, history, pace, output, draw, callbacks, held)
        callbacks.on_length(run.iterations)
        _note_nothing_to_train(run)
        alone = session.ranks.size == 1
        with (
            held if session.ranks.rank == 0 else nullcontext(),
            output.live,
            GracefulStop(output, alone) as stop,
        ):
            if held.is_held:
                run_files.remove_temporary_files(settings.files.stem)
            run.begin_log()
            try:
                if _is_over(run):
                    _complete(run)
                else:
                    _iterate(run, stop)
                _finish(run)
            except RunStopped as e:
                e.result = run.result()
                if not isinstance(e.__cause__, TextChanged):  # the other processes are in the middle of a step
                    session.ranks.destroy()
                raise
        session.ranks.destroy()
        return run.result()


def _iterate(run: CurrentRun, stop: GracefulStop) -> None:
    """Run the remaining iterations, each followed by decay, validation, log line, checks and saving."""
    trainer, history, keeper = run.trainer, run.history, run.keeper
    settings, ranks = run.session.settings, run.session.ranks
    print_every, patience = settings.display.print_every, settings.optimisation.patience
    i = history.done
    try:
        if 0 < i == run.iterations:
            _validate(run, i, stop)  # the run that is resumed ended before its last validation
            if i % print_every == 0:
                _report_step(run, i, 0.0, stop)
        while i < run.iterations:  # -minutes may change their number
            seconds = _timed_step(run.session, trainer)
            i += 1
            prints = i % print_every == 0
            logs = run.log is not None and (prints or run.log.is_due())
            # Reading a loss waits for the GPU, so not after every iteration.
            if settings.machine.device == "cpu" or prints or logs or run.validates(i) or not history.has_newest:
                history.train_losses.extend(trainer.new_losses())
                run.change_length(i)
            _decay_learning_rate(run, i)
            if run.log and logs:
                rate = trainer.optimizer.learning_rate
                run.log.train(i, history.train_losses[-1], trainer.norm_ratio(), rate)
            if run.validates(i):
                _validate(run, i, stop)
            if prints:
                _report_step(run, i, seconds, stop)
            if run.output.live.due():
                run.output.live.show(run.figures.training(i))
            # End if things are going really bad.
            if math.isnan(history.train_losses[-1]):
                run.output.say(_NAN)
                raise keeper.diverged()
            if history.is_exploding():
                run.output.say("loss is exploding, aborting.")
                raise keeper.diverged()
            # Not in the original: early stopping, requests to stop, and saving at intervals.
            if i in history.val_losses and out_of_patience(history.val_losses, patience):
                _note_patience(run, i)
                break
            stopping, saving = ranks.any(bool(stop.cause), keeper.is_due())
            if stopping or saving:
                history.train_losses.extend(trainer.new_losses())
            if stopping and i < run.iterations:
                raise keeper.stopped(stop.cause, stop.status, run.unfinished(run.checkpoint(i)))
            if saving:
                keeper.save_latest(run.unfinished(run.checkpoint(i)))
    except TextChanged as e:
        history.train_losses.extend(trainer.new_losses())
        # Saving is a collective call, but the other processes wait in the middle of a step.
        saved = run.unfinished(run.checkpoint(i)) if ranks.size == 1 else None
        raise keeper.text_changed(str(e), saved) from e


def _complete(run: CurrentRun) -> None:
    """Do what a run that was killed at its end has left undone: its last line, and its best and latest checkpoints."""
    session, resumed = run.session, run.session.settings.resumed
    assert resumed is not None
    found = resumed.checkpoint
    if found.state and found.train_losses and found.i % session.settings.display.print_every == 0:
        epoch, loss, norm_ratio = found.i / session.loader.ntrain, found.train_losses[-1], found.state.norm_ratio
        run.output.say(step_line.printed(found.i, session.iterations, epoch, loss, norm_ratio, 0.0))
    run.keeper.complete(found)


def _finish(run: CurrentRun) -> None:
    """Say how to repeat a run of -minutes, what the samples have copied, and what to do next.

    Errors: UserError, RunStopped if the last checkpoint could not be written, or is not finite.
    """
    if run.pace and (run.has_changed_length or run.session.settings.resumed):
        if run.unrepeatable:
            run.output.note(f"no flags repeat this run, since {run.unrepeatable}.")
        else:
            run.output.say(f"as it was trained: {recipes.command_line(run.session.settings.options)}")
    if copies := run.copies.summary():
        run.output.note(copies)
    run.keeper.finish()


def _timed_step(session: Session, trainer: Trainer) -> float:
    """Run one iteration and return its seconds; on a GPU only those of launching it.

    With -accurate_gpu_timing 1 those of computing it.
    """
    start = time.perf_counter()
    trainer.step()
    machine = session.settings.machine
    if machine.accurate_gpu_timing and machine.device.startswith("cuda"):
        session.ranks.wait()
        torch.cuda.synchronize(machine.device)
    elif machine.accurate_gpu_timing and machine.device == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - start


def _report_step(run: CurrentRun, i: int, seconds: float, stop: GracefulStop) -> None:
    session, trainer, loss = run.session, run.trainer, run.history.train_losses[-1]
    epoch, norm_ratio, rate = i / session.loader.ntrain, trainer.norm_ratio(), trainer.optimizer.learning_rate
    run.output.say(step_line.printed(i, session.iterations, epoch, loss, norm_ratio, seconds))
    report = TrainStep(i, session.iterations, epoch, loss, norm_ratio, rate, seconds)
    stop.call(run.callbacks.on_print, report)


def _decay_learning_rate(run: CurrentRun, i: int) -> None:
    optimisation, optimizer = run.session.settings.optimisation, run.trainer.optimizer
    ntrain = run.session.loader.ntrain
    decays = not optimisation.anneal and learning_rate.decays_after(optimisation, i, ntrain)
    if optimisation.anneal or i <= optimisation.warmup:
        optimizer.learning_rate = learning_rate.after(optimisation, i, ntrain, run.iterations)
    elif decays:
        optimizer.learning_rate *= optimisation.learning_rate_decay
    if decays:
        factor = lua_format.tostring(optimisation.learning_rate_decay)
        rate = lua_format.tostring(optimizer.learning_rate)
        run.output.say(f"decayed learning rate by a factor {factor} to {rate}")


def _validate(run: CurrentRun, i: int, stop: GracefulStop) -> None:
    """Compute the validation loss after iteration `i`, save the checkpoint, and report both, with a sample."""
    with run.figures.validation():
        loss = _evaluate(run, i)
        run.output.say(f"saving checkpoint to {run.keeper.path_of(i)}")
        checkpoint = run.checkpoint(i)
        shown = None
        if run.draw:
            length, seed = run.session.settings.display.show, run.session.settings.model.seed
            shown = shown_sample(run.draw, run.session.model, checkpoint, length, seed, run.output.note)
        if shown:
            checkpoint = run.with_copies(checkpoint, shown[1])
        path = run.keeper.save_named(checkpoint, run.unfinished(checkpoint))
        is_best = best_iteration(run.history.val_losses) == i
        report = Validation(i, run.iterations, checkpoint.epoch, loss, path, is_best)
        stop.call(run.callbacks.on_validation, report)
        if shown and run.callbacks.on_sample:
            run.callbacks.on_sample(shown[0])
        elif shown:
            run.output.note(printed(shown[0], run.output.live.columns))
    if run.pace:
        run.pace.validated()


def _evaluate(run: CurrentRun, i: int) -> float:
    """The validation loss after iteration `i`, which is recorded and logged; after the last one, calibrate before."""
    settings = run.session.settings

    def show_progress(k: int) -> None:
        if run.output.live.due():
            run.output.live.show(run.figures.validating(k))

    def batch_done(k: int) -> None:
        if settings.display.val_lines:
            run.output.say(f"{k}/{run.session.loader.nval}...")
        show_progress(k)

    if settings.optimisation.calibrate and i == run.iterations and run.temperature_before(i) is None:
        run.calibration = run.trainer.calibrate(show_progress)
    start = time.perf_counter()
    run.output.say(f"evaluating loss over split index {VAL}")
    loss: float = run.trainer.evaluate(batch_done)
    run.history.val_losses[i] = loss
    run.figures.evaluated()
    if run.pace:
        run.pace.evaluated()
    if run.calibration:
        run.output.note(
            f"calibrated: the logits are divided by {run.calibration.temperature:.4g}, and the validation loss is"
            f" {loss:.4f} in place of {run.calibration.loss_before:.4f}."
        )
    if run.log:
        run.log.validation(i, loss, run.trainer.optimizer.learning_rate, time.perf_counter() - start)
    return loss


def _with_more_time(session: Session) -> Session:
    """Plan a finished run that -minutes continues for twice its iterations; its pace then changes their number."""
    settings, resumed = session.settings, session.settings.resumed
    if resumed is None or not settings.minutes or resumed.checkpoint.i < session.iterations:
        return session
    return session.with_length(2 * resumed.checkpoint.i, resumed.checkpoint.i)


def _history(session: Session, trainer: Trainer, output: RunOutput) -> History:
    """The losses of the run so far. A trainer of a resumed run is restored."""
    settings, resumed = session.settings, session.settings.resumed
    # With items, the loss of a model that knows nothing.
    least_first = math.log(session.loader.vocab_size) if settings.data.items else 0.0
    if resumed is None:
        return History(least_first=least_first)
    found = resumed.checkpoint
    of_these_splits = resume.restore(session, resumed, trainer, output.say)
    val_losses = found.val_losses if of_these_splits else {}
    return History.resumed(found.train_losses, val_losses, found.i, least_first)


def _is_over(run: CurrentRun) -> bool:
    """Whether the run had ended with the checkpoint that it resumes."""
    return _is_complete(run) or _had_lost_patience(run.session, run.history)


def _is_complete(run: CurrentRun) -> bool:
    """Whether the checkpoint that is resumed is that of the last iteration, after its validation."""
    resumed, iterations = run.session.settings.resumed, run.session.iterations
    return resumed is not None and resumed.checkpoint.i == iterations and iterations in resumed.checkpoint.val_losses


def _note_nothing_to_train(run: CurrentRun) -> None:
    """Note that no iteration is left, if so, and which option would train further."""
    session, note = run.session, run.output.note
    resumed, iterations = session.settings.resumed, session.iterations
    if resumed is None:
        if not iterations:
            epochs = flag("max_epochs", session.settings.optimisation.max_epochs)
            ntrain = session.loader.ntrain
            note(f"nothing is trained: {epochs} is less than one iteration of the {ntrain} in an epoch; raise it.")
        return
    done = resumed.checkpoint.i
    if done > iterations or _is_complete(run):
        longer = f"a larger {flag('max_epochs')}, or {flag('minutes')},"
        note(f"iteration {done} of {iterations}: the run is complete; {longer} continues it.")
    elif _had_lost_patience(session, run.history):
        _note_patience(run, done)
        note(f"the run is complete; a larger {flag('patience')}, or {flag('max_epochs')}, continues it.")


def _note_patience(run: CurrentRun, i: int) -> None:
    """Say that the run is out of patience after iteration `i`."""
    patience = run.session.settings.optimisation.patience
    option = flag("patience")
    were = f"{patience} validations ({option}) were" if patience > 1 else f"1 validation ({option}) was"
    run.output.note(f"stopping after iteration {i}: the last {were} no better.")
    run.callbacks.on_patience(patience)


def _had_lost_patience(session: Session, history: History) -> bool:
    """Whether -patience ended the resumed run at this checkpoint; one with other flags has another validation."""
    resumed, losses = session.settings.resumed, history.val_losses
    if resumed is None or resumed.overridden or history.done not in losses:
        return False
    return out_of_patience(losses, session.settings.optimisation.patience)
