"""The options of the training that wrote a checkpoint, as its file records them.

A file may say anything. What `find` and `require` give can be a value of the option.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from typing import Any

from compat.charrnn import Checkpoint
from compat.checkpoint_fields import Option, is_number
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.training.options import TrainOptions

_KINDS = typing.get_type_hints(TrainOptions)
_OF_THE_NETWORK = ("rnn_size", "num_layers", "model")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")  # in no name of a file, but in commands to a terminal
_EXACT = 1 << 53  # whole numbers beyond are none in Lua


def find(found: Checkpoint, name: str) -> Any:
    """The value of an option, in the type that TrainOptions gives it.

    Its default where nothing is recorded; None where what is recorded can't be a value of that option.
    """
    if name in _OF_THE_NETWORK:
        return getattr(found.network, name)
    value: Any = found.opt.get(name, getattr(TrainOptions, name))
    kind = _KINDS[name]
    if kind is str:
        return value if isinstance(value, str) and not _CONTROL.search(value) else None
    if not is_number(value) or not math.isfinite(value):
        return None
    if kind is int:
        return int(value) if abs(value) <= _EXACT and float(value).is_integer() else None
    return value


def require(path: str, found: Checkpoint, name: str) -> Any:
    """As find, but with an error in the place of None.

    Errors: UserError where what is recorded can't be a value of that option.
    """
    value = find(found, name)
    if value is None:
        recorded = _in_words(found.opt[name])
        raise UserError(f"{path} records the -{name} {recorded}, which can't be one: give -{name} on the command line.")
    return value


def _in_words(value: object) -> str:
    if isinstance(value, str):
        return f"'{escape_line(value, 60)}'"
    return f"{value:.10g}" if is_number(value) else str(value)


def check(path: str, opt: TrainOptions) -> None:
    """See whether options that a checkpoint records, perhaps with some of the command line, go together.

    Errors: UserError.
    """
    try:
        opt.check()
    except UserError as e:
        raise UserError(f"{path} records what can't be used, so say it on the command line: {e}") from e


def to_record(opt: TrainOptions) -> dict[str, Option]:
    """The options for a checkpoint: all of char-rnn's, and of our own those of the run that are not at default."""
    changed = opt.changed
    return {
        field.name: getattr(opt, field.name)
        for field in dataclasses.fields(opt)
        if field.name not in TrainOptions.not_in_char_rnn
        or (field.name in changed and field.name not in TrainOptions.not_of_the_run)
    }
