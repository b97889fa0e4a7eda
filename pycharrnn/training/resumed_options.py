"""The options of a run of -resume: those that were given, and the recorded values of all others."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from typing import NamedTuple

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import formats
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.training import recorded_options
from pycharrnn.training.initial_checkpoint import ResumedRun
from pycharrnn.training.options import TrainOptions

_FIXED = (*recorded_options.FROM_NETWORK, "forget_bias", "items", "label")  # a resumed run can't change them
_NOT_BESIDE_RESUME = ("init_from", "text_encoding")


class ResumedOptions(NamedTuple):
    """The options of a resumed run, the run with the names of those that it overrides, and lines to print."""

    options: TrainOptions
    start: ResumedRun
    log: list[str]
    notes: list[str]


def apply(options: TrainOptions, given: Collection[str], start: ResumedRun) -> ResumedOptions:
    """The options with which the run of a checkpoint goes on.

    `given`: those that the user gave. Errors: UserError for one that can't change during a run, and for a recorded
    value that can't be used.
    """
    path, found = start.path, start.checkpoint
    log = [f"resuming from {path}, iteration {found.i}, epoch {lua_format.fixed(found.epoch, 2)}"]
    notes: list[str] = []
    given_up = _given_up(options, given, found)
    if "patience" in given_up and (patience := recorded_options.find(found, "patience")):
        end = flag("minutes" if "minutes" in given else "max_epochs")
        notes.append(
            f"{end} says when this run ends: it goes on without {flag('patience', patience)}, unless that is given"
            " again."
        )
    names = [field.name for field in dataclasses.fields(options) if field.metadata["record"]]
    names = [name for name in names if name not in given_up]
    changes = {name: _change(name, getattr(options, name), found) for name in names if name in given}
    overridden = {name: change for name, change in changes.items() if change}
    kept = [name for name in names if name not in given]
    # A checkpoint with a run state has the mean squares themselves.
    fixed = (*_FIXED, "initial_mean") if found.state else _FIXED
    for name in fixed:
        if name in overridden:
            change = f"{flag(name)} {overridden[name]}"
            raise UserError(f"{change} can't change during a run: leave it out, or start a new run.")
    recorded = recorded_options.options_of(path, found, kept, set(kept).difference(fixed, _NOT_BESIDE_RESUME))
    # Later checkpoints don't record -resume: they equal those of a run that never stopped.
    options = dataclasses.replace(options, resume="", **{name: getattr(recorded, name) for name in kept})
    if not options.checkpoint_format:  # set here, so that the flags that repeat the run name it
        options = dataclasses.replace(options, checkpoint_format=_format_of(start))
    if overridden:
        log.append(f"overridden: {', '.join(f'-{name} {change}' for name, change in overridden.items())}")
    start = dataclasses.replace(start, overridden=frozenset(overridden))
    return ResumedOptions(_in_place(options, start, given, notes), start, log, notes)


def _given_up(options: TrainOptions, given: Collection[str], found: Checkpoint) -> set[str]:
    """The recorded options without which a run goes on, because of others that were given in their place."""
    given_up = set()
    if "max_epochs" in given:
        given_up.add("minutes")  # that length instead of the time that is left
    if not {"minutes", "max_epochs"}.isdisjoint(given):
        given_up.add("patience")  # a higher learning rate comes first, with losses above those from before
    if "exact" in given and options.exact and not recorded_options.find(found, "exact"):
        given_up.add("dtype")  # -exact 1 has a precision of its own
    return given_up.difference(given)


def _change(name: str, asked: object, found: Checkpoint) -> str:
    """A given value and the recorded one, in words; "" if they are equal."""
    # A run of -init_from has the dropout of its model, and records the option.
    was = found.network.dropout if name == "dropout" else recorded_options.find(found, name)
    if asked == was:
        return ""
    if name == "minutes" and not was:  # it is not recorded
        return _in_words(asked)
    return f"{_in_words(asked)} ({'it was not given' if was == '' else f'was {_in_words(was)}'})"


def _format_of(start: ResumedRun) -> str:
    """The value of -checkpoint_format that goes on with the format of a resumed checkpoint."""
    return (formats.SAFETENSORS if formats.SAFETENSORS.is_of(start.path) else formats.T7).name


def _in_place(options: TrainOptions, start: ResumedRun, given: Collection[str], notes: list[str]) -> TrainOptions:
    """Write beside the checkpoint of -resume unless -checkpoint_dir is given; a recorded folder may be a stranger's."""
    if "checkpoint_dir" in given or start.is_in_place:
        return options
    folder = os.path.dirname(start.path) or "."
    notes.append(
        f"new checkpoints go to {escape_line(folder, None)}, where the one of {flag('resume')} is:"
        f" {flag('checkpoint_dir')} names another folder."
    )
    return dataclasses.replace(options, checkpoint_dir=folder)


def _in_words(value: object) -> str:
    if value is None:
        return "nothing that can be used"
    return lua_format.tostring(value) if isinstance(value, (int, float)) else escape_line(str(value)) or "''"
