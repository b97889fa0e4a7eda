"""-resume: restores the state of a trainer from its checkpoint."""

from __future__ import annotations

import dataclasses
import math

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import recorded_split
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.text.batches import TRAIN
from pycharrnn.training import learning_rate, recorded_options
from pycharrnn.training.initial_checkpoint import ResumedRun
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.session import Session
from pycharrnn.training.settings import OptimisationSettings
from pycharrnn.training.trainer import Trainer

# Options that change which characters a batch holds.
_LAYOUT = (*recorded_split.OF_TEXTS, "vocab", "encoding")
# Options that change the weights or losses of a run: those of these groups, and more, but for _HARMLESS ones.
_GROUPS, _MORE = ("text", "model", "learning"), ("gpuid", "exact", "dtype", "old_exp", "eval_val_every")
_HARMLESS = ("data_dir", "from_texts", "text_encoding", "minutes", "patience", "calibrate")
UNREPEATABLE = "unrepeatable"  # an option that a resumed run records as 1 once no flags repeat it
CALIBRATED = "calibrated"  # an option with the temperature by which -calibrate has divided a checkpoint's logits


def restore(session: Session, start: ResumedRun, trainer: Trainer, say: PrintLine) -> bool:
    """Restore the state of a trainer from the checkpoint of its run, and print which parts the checkpoint lacks.

    Returns: whether the splits are those of the checkpoint, so that its validation losses compare with later ones.

    Errors: UserError.
    """
    found, loader = start.checkpoint, trainer.loader
    state = found.state
    optimisation, text = session.settings.optimisation, session.fingerprint
    trainer.optimizer.learning_rate = _learning_rate(start, optimisation, loader.ntrain, session.iterations)
    layout = _LAYOUT if loader.end_id is None else (*_LAYOUT, "seed")  # which draws the splits and the order of a list
    changed = [f"-{name}" for name in layout if name in start.overridden]
    if state is None:
        mean = optimisation.initial_mean
        of_flag = f" (the mean squares from -initial_mean {mean:g})" if mean else ""
        say(
            f"{start.path} holds weights, losses and the iteration, but no run state (the Lua program, -save_state 0"
            " and most conversions write none): the decay rule gives the learning rate,"
            f" {lua_format.tostring(trainer.optimizer.learning_rate)}; RMSprop's mean squares and the hidden state"
            f" start from zero{of_flag}, and dropout from -seed."
        )
    else:
        trainer.restore(state)
        if "seed" not in start.overridden:
            trainer.random.set_state(state.random_words, state.random_position)
        if (was := found.text_fingerprint) != text:
            data_dir = session.settings.data.data_dir
            say(f"{data_dir}/input.txt is not the text of the checkpoint: it was {was}; it is {text}.")
            changed.append("the text")
    if changed:
        trainer.reset_hidden_state()
        epoch = lua_format.fixed(found.i / loader.ntrain, 2)
        say(
            f"{' and '.join(changed)} changed: the run goes on at the start of the text, with a zero hidden state and"
            f" as epoch {epoch}; it leaves out earlier validation losses, which are of other splits."
        )
    elif state is None:
        loader.reset_batch_pointer(TRAIN, found.i)
    else:
        for split, position in state.batch_positions.items():
            loader.reset_batch_pointer(split, position)
        loader.restore_items(state.item_positions)
    ours, theirs = trainer.versions(), (state and state.versions) or {}
    for program, version in sorted(theirs.items()):
        if ours.get(program, version) != version:
            say(f"written by {program} {version}, going on with {ours[program]}: last digits may differ.")
    return not changed


def _learning_rate(start: ResumedRun, optimisation: OptimisationSettings, ntrain: int, iterations: int) -> float:
    """The learning rate to continue with, by command line, checkpoint or decay rule. Errors: UserError."""
    found = start.checkpoint
    is_given = "learning_rate" in start.overridden
    if is_given and not (optimisation.anneal or found.i < optimisation.warmup):
        rate = optimisation.learning_rate
    elif is_given or _has_other_warmup(start, optimisation) or not found.state:
        # As the loop computes the later rates, too.
        rate = learning_rate.after(optimisation, found.i, ntrain, iterations)
    else:
        rate = found.state.learning_rate
    if not 0 <= rate < math.inf:
        raise UserError(f"{start.path} records the learning rate {rate:g}: give {flag('learning_rate')}.")
    return rate


def _has_other_warmup(start: ResumedRun, optimisation: OptimisationSettings) -> bool:
    """Whether a changed -warmup gives another rate than the recorded one: within the old warm-up, or the new one."""
    recorded = recorded_options.find(start.checkpoint, "warmup") or 0
    return "warmup" in start.overridden and start.checkpoint.i < max(optimisation.warmup, recorded)


def _has_validated_at_its_end(found: Checkpoint) -> bool:
    """Whether a run ended with a validation that a longer run does not have there, and that changed the state.

    A validation changes the hidden state with -exact 1: see docs/parity.md.
    """
    every, exact, items = (recorded_options.find(found, name) for name in ("eval_val_every", "exact", "items"))
    return found.i in found.val_losses and bool(every and exact and not items) and found.i % every > 0


def why_unrepeatable(session: Session, start: ResumedRun) -> str:
    """Why no flags repeat the run that goes on from `start`, as a clause; "" if some do."""
    found = start.checkpoint
    if found.state is None:
        return f"{start.path}, from which it was resumed, holds no run state"
    if _has_validated_at_its_end(found):
        return f"with {flag('exact', 1)} it goes on from the state after the last validation of {start.path}"
    fields = [f for f in dataclasses.fields(TrainOptions) if f.metadata["group"] in _GROUPS or f.name in _MORE]
    harmless = _HARMLESS if recorded_options.find(found, "anneal") else (*_HARMLESS, "max_epochs")
    changed = [flag(f.name) for f in fields if f.name in start.overridden and f.name not in harmless]
    if session.fingerprint != found.text_fingerprint:
        changed.append("the text")
    if changed:
        return f"{', '.join(changed)} changed when it was resumed"
    if found.opt.get(UNREPEATABLE) == 1:
        return "other settings changed when it was resumed before"
    if CALIBRATED in found.opt and found.i < session.iterations:
        return f"{flag('calibrate', 1)} had divided the logits of {start.path}"
    return ""
