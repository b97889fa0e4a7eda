"""-resume: find the checkpoint, take over its options, and put a trainer back where the checkpoint left it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint, paths
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text.loader import TRAIN
from pycharrnn.training import learning_rate, recorded_options, run_files
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.trainer import Trainer

_MOST_ITERATIONS = 10**9
# Options that change which characters a batch holds.
_LAYOUT = ("batch_size", "seq_length", "train_frac", "val_frac", "vocab", "encoding")


@dataclass(frozen=True)
class InitialCheckpoint:
    """The checkpoint that a run starts from.

    Attributes:
        path: where it lies.
        resumed: whether its run goes on (-resume); else only its weights are taken (-init_from).
        overridden: options of the command line that differ from those of the run that goes on.
    """

    path: str
    checkpoint: Checkpoint
    resumed: bool
    overridden: frozenset[str] = frozenset()


def take_over(
    opt: TrainOptions, given: Collection[str] | None, say: Callable[[str], None], note: Callable[[str], None]
) -> tuple[TrainOptions, InitialCheckpoint]:
    """The checkpoint of -resume, and the options of the run that wrote it.

    Args:
        given: names of the options that the user gave, which stay; None: those that are not at their default.
        note: is told which checkpoint of a folder was taken.

    Errors: UserError.
    """
    if given is None:
        given = opt.changed
    path, found = _find(opt, given, say, note)
    say(f"resuming from {path}, iteration {found.i}, epoch {lua_format.fixed(found.epoch, 2)}")
    overridden: dict[str, str] = {}  # name -> in words
    recorded: dict[str, object] = {}
    for name in (field.name for field in dataclasses.fields(opt) if field.metadata["record"]):
        if name not in given:
            recorded[name] = recorded_options.require(path, found, name)
        elif (asked := getattr(opt, name)) != (was := recorded_options.find(found, name)):
            overridden[name] = f"{_in_words(asked)} (was {_in_words(was)})"
    for name in ("rnn_size", "num_layers", "model"):
        if name in overridden:
            change = f"{flag(name)} {overridden[name]}"
            raise UserError(f"{change} can't change during a run: leave it out, or start a new run.")
    # The checkpoints that follow are those of a run that never stopped, so they record no -resume.
    opt = _stay_beside(recorded_options.replace(path, opt, **recorded, resume=""), path, given)
    if overridden:
        say(f"overridden on the command line: {', '.join(f'-{name} {change}' for name, change in overridden.items())}")
    return opt, InitialCheckpoint(path, found, resumed=True, overridden=frozenset(overridden))


def _find(
    opt: TrainOptions, given: Collection[str], say: Callable[[str], None], note: Callable[[str], None]
) -> tuple[str, Checkpoint]:
    """The checkpoint that -resume names, or the newest in that folder. Errors: UserError where it can't be resumed."""
    if os.path.isdir(opt.resume):
        path, found = _newest(opt.resume, opt.savefile if "savefile" in given else None, say, note)
    else:
        path, found = opt.resume, checkpoint.load(opt.resume)
    if found.program != "char-rnn":
        raise UserError(
            f"{path} is a checkpoint of {found.program}, which can't be resumed: use {flag('init_from', path)}."
        )
    if not isinstance(found.i, int) or not 0 <= found.i <= _MOST_ITERATIONS:
        raise UserError(f"can't resume from {path}: it says it was written after iteration {found.i}.")
    val_losses = {i: loss for i, loss in found.val_losses.items() if isinstance(i, int) and 0 < i <= found.i}
    return path, dataclasses.replace(found, val_losses=val_losses)


def _stay_beside(opt: TrainOptions, path: str, given: Collection[str]) -> TrainOptions:
    """Options that let the run write beside `path`, its checkpoint, or where the command line says.

    What the checkpoint says of folders does not count: its file may come from a stranger.

    Errors: UserError for a recorded -savefile that names a folder.
    """
    if "savefile" not in given and ({os.sep, os.altsep, "\0"} & {*opt.savefile}):
        raise UserError(
            f"{path} records the {flag('savefile')} {escape_line(opt.savefile, 80)}, which is not a file name: give"
            f" {flag('savefile')} and {flag('checkpoint_dir')}."
        )
    beside = os.path.dirname(path)
    if "checkpoint_dir" in given or run_files.same_folder(opt.checkpoint_dir, beside):
        return opt
    return dataclasses.replace(opt, checkpoint_dir=beside or ".")


def _newest(
    folder: str, savefile: str | None, say: Callable[[str], None], note: Callable[[str], None]
) -> tuple[str, Checkpoint]:
    """The youngest checkpoint in a folder that is whole and holds numbers; of `savefile` alone unless None."""
    runs = "lm_*" if savefile is None else f"lm_{savefile}"
    files = [
        file
        for file in paths.newest_first(folder)
        if file.path.endswith(".t7") and (file.run == runs if savefile else file.run.startswith("lm_"))
    ]
    for file in files:
        try:
            loaded = checkpoint.load(file.path)
        except UserError as e:
            say(f"skipping {file.path}: {e}")
            continue
        if all(np.isfinite(w).all() for w in loaded.network.weights.values()):
            paths.say_choice(note, folder, file, "newest", len(files))
            return file.path, loaded
        say(f"skipping {file.path}: its weights are not finite numbers.")
    raise UserError(f"{folder} holds no whole checkpoint {runs}_*.t7 to resume from.")


def _in_words(value: object) -> str:
    if value is None:
        return "nothing that can be used"
    return lua_format.tostring(value) if isinstance(value, (int, float)) else str(value)


def restore(
    start: InitialCheckpoint,
    trainer: Trainer,
    opt: TrainOptions,
    iterations: int,
    text: str,
    say: Callable[[str], None],
) -> None:
    """Put a trainer where the checkpoint left it, as far as the checkpoint knows; say what it doesn't know.

    Args:
        iterations: of the whole run, those before the checkpoint too.
        text: the fingerprint of today's input.txt.

    Errors: UserError.
    """
    found, loader = start.checkpoint, trainer.loader
    state = found.state
    trainer.optimizer.learning_rate = _learning_rate(start, opt, loader.ntrain, iterations)
    if state is None:
        loader.reset_batch_pointer(TRAIN, found.i % loader.ntrain)
        say(
            f"{start.path} holds weights, losses and the iteration, but no run state (the Lua program and -save_state"
            f" 0 write none): learning rate {lua_format.tostring(trainer.optimizer.learning_rate)} by the decay rule,"
            " RMSprop's mean squares and the hidden state from zero, dropout from -seed."
        )
        return
    trainer.restore(state)
    if "seed" not in start.overridden:
        trainer.random.set_state(state.random_words, state.random_position)
    changed = [f"-{name}" for name in _LAYOUT if name in start.overridden]
    if text != state.text:
        say(f"{opt.data_dir}/input.txt is not the text of the checkpoint: it was {state.text}; it is {text}.")
        changed.append("the text")
    if changed:
        trainer.forget_place()
        epoch = lua_format.fixed(found.i / loader.ntrain, 2)
        say(f"{' and '.join(changed)} changed: at the text's start, hidden state from zero; epoch counted as {epoch}.")
    else:
        for split, position in state.batch_positions.items():
            loader.reset_batch_pointer(split, position)
    ours = trainer.versions()
    for program, version in sorted((state.versions or {}).items()):
        if ours.get(program, version) != version:
            say(f"written by {program} {version}, going on with {ours[program]}: last digits may differ.")


def _learning_rate(start: InitialCheckpoint, opt: TrainOptions, ntrain: int, iterations: int) -> float:
    """The learning rate to go on with: the command line's, the recorded one, or what the decay rule says.

    Errors: UserError.
    """
    found = start.checkpoint
    if "learning_rate" in start.overridden:
        rate = opt.learning_rate
    else:
        rate = found.state.learning_rate if found.state else learning_rate.after(opt, found.i, ntrain, iterations)
    if not 0 <= rate < math.inf:
        raise UserError(f"{start.path} records the learning rate {rate:g}: give {flag('learning_rate')}.")
    return rate
