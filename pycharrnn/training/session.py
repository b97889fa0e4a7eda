"""Makes the objects of a run from its settings: text, model and trainer, in the order of train.lua."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from dataclasses import dataclass

from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import derived_checkpoints
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.engine import device, tf32
from pycharrnn.engine.model import CharRNN
from pycharrnn.text import loaders
from pycharrnn.text.batches import Batches
from pycharrnn.text.corpus import Corpus
from pycharrnn.text.encodings import ENCODINGS
from pycharrnn.text.text_stats import TextStats, text_stats
from pycharrnn.training import (
    checkpoint_dir,
    distributed,
    initial_checkpoint,
    length_changes,
    new_model,
    overwrite_guard,
    recipes,
    recorded_options,
    run_lock,
    run_log,
    step_timing,
    text_checks,
    time_plan,
)
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.initial_checkpoint import InitialCheckpoint, ResumedRun
from pycharrnn.training.machine import Machine, Process
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.pace import Stopwatch
from pycharrnn.training.settings import RunSettings
from pycharrnn.training.settle import settle
from pycharrnn.training.text_defaults import RunRequest
from pycharrnn.training.this_machine import machine_of
from pycharrnn.training.time_plan import Timing
from pycharrnn.training.trainer import Trainer


@dataclass(frozen=True)
class Session:
    """A run before its first step.

    Attributes:
        random: Torch7's generator after the draws of the model.
    """

    settings: RunSettings
    ranks: Ranks
    loader: Batches
    fingerprint: str
    random: LuaRandom
    model: CharRNN

    @property
    def iterations(self) -> int:
        """The number of the last iteration."""
        return int(self.settings.optimisation.max_epochs * self.loader.ntrain)

    def with_length(self, iterations: int, i: int) -> Session:
        """The run with another number of iterations from iteration `i` on, by options that give it without a change."""
        options, optimisation = self.settings.options, self.settings.optimisation
        epochs, changes = _epochs(iterations, self.loader.ntrain), options.anneal_to
        if options.anneal:
            # Larger batches or a shorter text may leave a resumed run fewer iterations than it has had.
            changes = length_changes.appended(changes, max(self.iterations, i), i)
        options = dataclasses.replace(options, max_epochs=epochs, anneal_to=changes)
        optimisation = dataclasses.replace(optimisation, max_epochs=epochs, anneal_to=changes)
        settings = dataclasses.replace(self.settings, options=options, optimisation=optimisation)
        return dataclasses.replace(self, settings=settings)

    def make_trainer(self, note: PrintLine) -> Trainer:
        settings = self.settings
        return Trainer(self.model, self.loader, self.random, self.ranks, settings.optimisation, settings.machine, note)


def prepare(
    options: TrainOptions,
    given: Collection[str] | None,
    process: Process,
    say: PrintLine,
    note: PrintLine,
    corpus: Corpus | None = None,
    watch: Stopwatch | None = None,
) -> Session:
    """Settle a run and make its objects; write nothing before all checks have passed. Errors: UserError, OSError.

    `say` prints the original's lines. `given`, `note`, `corpus`, `watch`: as for loop.train.
    """
    given = options.changed if given is None else given
    if corpus is None and "text_encoding" in given and (options.resume or not options.from_texts):
        raise UserError(
            f"{flag('text_encoding')} is for {wordings('files on the command line', 'the files or bytes of text')};"
            f" {flag('data_dir')} and {flag('resume')} read input.txt as it is: leave it out."
        )
    # Each process prints such a refusal: when one has ended, torchrun ends the others, which may have printed nothing.
    time_plan.check(options, given, process.size)
    start = initial_checkpoint.load(options, given, say, note)
    # Only recipes need the text this early; -resume, which finds its text later, excludes them.
    text = corpus.stats if corpus else None if options.resume else text_stats(options.data_dir, options.progress)
    machine = machine_of(options, process)
    timing = None
    if options.minutes and text:
        timing = _timing(RunRequest(options, given, text), start, machine, watch or Stopwatch.start())
    settings = settle(options, given, start, text, machine, timing)
    resumed = settings.resumed
    if resumed and "data_dir" not in given:
        recorded_options.require_text(resumed.path, settings.data.data_dir)
    elif resumed:
        recorded_options.require_folder(resumed.path, settings.data.data_dir)
    text = text or text_stats(settings.data.data_dir, options.progress)
    text_checks.check(settings, text)
    for line in settings.notes:
        note(line)
    if not (corpus or options.from_texts or resumed) and (advice := text_checks.advice_on_bytes(settings.data, text)):
        note(advice)
    device.make_current(settings.machine.device)
    # Before the checks of the first process alone: when it is refused, the others learn that it has ended.
    ranks = distributed.join(process, settings.machine.device)
    if not ranks.rank:
        _check_files(settings, start, note)
    if corpus:
        text = corpus.write()
    for line in settings.log:
        say(line)
    advise = not resumed and options.recipe not in recipes.RECIPES and not options.minutes
    return _make(settings, text, advise, ranks, say)


def _timing(request: RunRequest, start: InitialCheckpoint | None, machine: Machine, watch: Stopwatch) -> Timing:
    """Time steps for -minutes, after the checks that need no timing: it takes seconds. Errors: UserError."""
    guess = settle(request.opt, request.given, start, request.text, machine, step_timing.guess(request, start))
    text_checks.check(guess, request.text)
    _check_files(guess, start, print_nothing)  # `prepare` checks again, since another run may have begun
    return step_timing.timing(request, start, machine, watch)


def _check_files(settings: RunSettings, start: InitialCheckpoint | None, note: PrintLine) -> None:
    """Errors: UserError if another run is writing the same files, or this one would overwrite files of another run."""
    resumed = settings.resumed
    checkpoint_dir.check_names(settings)
    run_lock.check(settings.files)
    notes: list[str] = []  # on files that this run replaces: a run that is refused replaces none
    # Before the log, whose advice, -overwrite 1, would also give up an unfinished run.
    overwrite_guard.check(settings.files, start, notes.append)
    run_log.check(settings.files, settings.data.data_dir, resumed.checkpoint if resumed else None, notes.append)
    for line in notes:
        note(line)


def _epochs(iterations: int, ntrain: int) -> float:
    """The shortest number that -max_epochs needs for a run of `iterations`."""
    for digits in range(1, 18):
        epochs = float(f"{(iterations + 0.5) / ntrain:.{digits}g}")
        if int(epochs * ntrain) == iterations:
            return epochs
    return (iterations + 0.5) / ntrain


def _make(settings: RunSettings, text: TextStats, advise: bool, ranks: Ranks, say: PrintLine) -> Session:
    data, start = settings.data, settings.start
    random = LuaRandom(settings.model.seed)
    tf32.allow(not settings.machine.exact)
    loader = ranks.first_on_each_machine(lambda: _loader(settings, text, ranks, advise, say))
    try:
        text_checks.check_splits(data, loader.ntrain, loader.nval, loader.nbatches)
        say(f"vocab size: {loader.vocab_size}")
        if ranks.rank == 0:
            checkpoint_dir.make(os.path.dirname(settings.files.stem))
        if settings.resumed:
            remapped = derived_checkpoints.remap_ids(settings.resumed.checkpoint, loader.vocab_mapping)
            start = dataclasses.replace(settings.resumed, checkpoint=remapped)
            settings = dataclasses.replace(settings, start=start)
        model = new_model.model_of(settings, loader, random, say)
    except BaseException:
        loader.close()
        raise
    return Session(settings, ranks, loader, text.fingerprint, random, model)


def _loader(settings: RunSettings, text: TextStats, ranks: Ranks, advise: bool, say: PrintLine) -> Batches:
    data, start = settings.data, settings.start
    model_characters: list[bytes] | None = None
    if start and data.vocab != "strict":
        model_characters = list(start.checkpoint.vocab)
        # A model of bytes that becomes one of code points loses parts of characters.
        if not isinstance(start, ResumedRun):
            model_characters = list(filter(ENCODINGS[data.encoding].is_character, model_characters))
    return loaders.open_batches(
        data,
        say=say,
        rows=ranks.rows(data.batch_size),
        progress=settings.display.progress,
        model_characters=model_characters,
        stats=text,
        advise=advise,
    )
