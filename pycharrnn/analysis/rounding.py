"""What rounding the weights of a model costs: the validation loss before and after, for `convert` to .c files."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pycharrnn.analysis import scoring
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import c_weights, checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.text.recorded_text import recorded_text

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint


class Losses(NamedTuple):
    """Of the validation split, in nats per character."""

    exact: float
    rounded: float


def losses(path: str, loaded: Checkpoint, weights: str) -> Losses | None:
    """The losses with the weights of the checkpoint at `path`, and with those of a .c file of type `weights`.

    The state is in double precision in both. None if the training text is missing, has changed, is too large to be read
    unasked, or has no recorded hash: the file of its name may then be any text.
    """
    text = recorded_text(path, loaded)
    if not text.may_be_read_unasked():
        return None
    rounded = replace(loaded, network=c_weights.rounded(loaded.network, weights))
    with contextlib.suppress(OSError, ValueError, UserError):
        text.checked_path()
        after = scoring.split_loss(path, rounded, EvalOptions())
        exact = checkpoint.validation_loss(loaded)
        return Losses(scoring.split_loss(path, loaded, EvalOptions()) if exact is None else exact, after)
    return None
