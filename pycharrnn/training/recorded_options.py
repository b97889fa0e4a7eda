"""The options of the training that wrote a checkpoint. Its file may say anything, so this is the one way to them."""

from __future__ import annotations

import dataclasses
import math
import re
import typing

from compat.charrnn import Checkpoint
from compat.plain_text import printable
from compat.recorded import is_number
from pycharrnn.common.errors import UserError
from pycharrnn.training.options import TrainOptions

_KINDS = typing.get_type_hints(TrainOptions)
_OF_THE_NETWORK = ("rnn_size", "num_layers", "model")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")  # in no name of a file, but in commands to a terminal
_EXACT = 1 << 53  # whole numbers beyond are none in Lua


def find(found: Checkpoint, name: str):
    """An option in the type that TrainOptions gives it, its default where nothing is recorded; None where what is
    recorded can't be one."""
    if name in _OF_THE_NETWORK:
        return getattr(found.network, name)
    value, kind = found.opt.get(name, getattr(TrainOptions, name)), _KINDS[name]
    if kind is str:
        return value if isinstance(value, str) and not _CONTROL.search(value) else None
    if not is_number(value) or not math.isfinite(value):
        return None
    if kind is int:
        return int(value) if abs(value) <= _EXACT and float(value).is_integer() else None
    return value


def require(path: str, found: Checkpoint, name: str):
    """As find. Errors: UserError where what is recorded can't be one."""
    value = find(found, name)
    if value is None:
        shown = _shown(found.opt[name])
        raise UserError(f"{path} records the -{name} {shown}, which can't be one: give -{name} on the command line.")
    return value


def _shown(value) -> str:
    if isinstance(value, str):
        return f"'{printable(value, 60)}'"
    return f"{value:.10g}" if is_number(value) else str(value)


def check(path: str, opt: TrainOptions) -> None:
    """See whether options that a checkpoint records, perhaps with some of the command line, go together.

    Errors: UserError.
    """
    try:
        opt.check()
    except UserError as e:
        raise UserError(f"{path} records what can't be used, so say it on the command line: {e}") from e


def to_record(opt: TrainOptions) -> dict[str, object]:
    """The options for a checkpoint: all of char-rnn's, and of our own those of the run that are not at default."""
    return {
        field.name: getattr(opt, field.name)
        for field in dataclasses.fields(opt)
        if field.name not in TrainOptions.not_in_char_rnn
        or (getattr(opt, field.name) != field.default and field.name not in TrainOptions.not_of_the_run)
    }
