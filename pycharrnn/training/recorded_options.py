"""Options that a checkpoint records: read back for -resume, eval and copied, and written by training.

A checkpoint may come from a stranger: `find` and `options_of` return only values of the option's type.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from compat import item_options
from compat.charrnn import Checkpoint
from compat.checkpoint_fields import Option, is_number
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text import cached_text, recorded_text
from pycharrnn.text.text_folder import input_file
from pycharrnn.training.options import TrainOptions, is_more_than_whole

_TYPES = typing.get_type_hints(TrainOptions)
FROM_NETWORK = ("rnn_size", "num_layers", "model")  # options whose values are those of the network
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")  # never in file names, but in terminal commands
_EXACT = 1 << 53  # doubles hold all integers up to this one


def find(loaded: Checkpoint, name: str) -> Any:
    """The recorded value of an option; the default if none is recorded; None if the recorded value has another type."""
    if name in FROM_NETWORK:
        return getattr(loaded.network, name)
    value: Any = loaded.opt.get(name, getattr(TrainOptions, name))
    if name == "dtype" and value == "double":  # its name in early checkpoints
        return "float64"
    kind = _TYPES[name]
    if kind is str:
        return value if isinstance(value, str) and not has_control_character(value) else None
    if not is_number(value) or math.isnan(value):
        return None
    if name == "val_frac":
        train = loaded.opt.get("train_frac", TrainOptions.train_frac)
        if is_number(train) and is_more_than_whole(train, value):
            return max(1 - train, 0.0)  # char-rnn takes all that training leaves
    if kind is int:
        return int(value) if float(value).is_integer() else None
    return value if abs(value) <= _EXACT else float(value)  # PyTorch takes no larger int


def has_control_character(value: str) -> bool:
    """Whether a string has a control character; `find` returns no such string."""
    return _CONTROL.search(value) is not None


def options_of(path: str, loaded: Checkpoint, names: Iterable[str], can_give: Collection[str] = ()) -> TrainOptions:
    """The recorded values of these options, and the defaults of all others.

    `can_give`: options that the user can give in place of the recorded ones. Errors: UserError for a recorded value of
    another type, or one that is not allowed. The message asks for the option if it can be given, else for another
    checkpoint.
    """
    values: dict[str, Any] = {}
    for name in names:
        values[name] = find(loaded, name)
        if values[name] is None:
            way_out = f"give {flag(name)}" if name in can_give else "use another checkpoint"
            raise UserError(
                f"{path} records the {flag(name)} {_in_words(loaded.opt[name])}, which is not valid: {way_out}."
            )
    _created(path, {name: value for name, value in values.items() if name not in can_give}, "use another checkpoint")
    return _created(path, values, "give it")


def _created(path: str, values: Mapping[str, Any], way_out: str) -> TrainOptions:
    """Options with recorded values. Errors: UserError with the way out if they are not allowed."""
    try:
        return TrainOptions(**values)
    except UserError as e:
        raise UserError(f"{path} records an option that can't be used, so {way_out}: {e.message}") from e


def require_text(path: str, folder: str) -> None:
    """Errors: UserError that names -data_dir if the recorded folder of the text of `path` has no text here."""
    if missing := recorded_text.missing(path, folder):
        here = "copy it from where the model was trained"
        if os.path.isfile(os.path.join(os.pardir, input_file(folder))):
            here = "go to the folder above, which has it"
        advice = f"{here}, or name the folder that has it with {flag('data_dir')}"
        raise UserError(f"{missing}: {cached_text.remedy(folder) or advice}.")


def require_folder(path: str, folder: str) -> None:
    """Errors: UserError if the folder that -data_dir gives for the text of `path` does not exist."""
    if folder and not os.path.lexists(folder):
        raise UserError(
            f"there is no folder {folder}: {flag('data_dir')} must name the folder with the text of {path}."
        )


def _in_words(value: object) -> str:
    if isinstance(value, str):
        return f"'{escape_line(value, 60)}'"
    return f"{value:.10g}" if is_number(value) else str(value)


def to_record(options: TrainOptions, label_counts: Mapping[bytes, int]) -> dict[str, Option]:
    """The options to record: char-rnn's, and those of pycharrnn that describe the run and are not at default.

    `label_counts`: label -> number of items in training.
    """
    changed = options.changed
    recorded: dict[str, Option] = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.metadata["charrnn"] or (field.metadata["record"] and field.name in changed)
    }
    return recorded | item_options.record_labels(label_counts)
