"""What rounding the weights of a model costs: the validation loss before and after, for `convert` to .c files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pycharrnn.analysis import scoring
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import c_weights, checkpoint
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.text.recorded_text import MAX_UNASKED, recorded_text

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint


class Losses(NamedTuple):
    """Of the validation split, in nats per character."""

    exact: float
    rounded: float


def losses(path: str, loaded: Checkpoint, weights: str) -> Losses:
    """The losses with the weights of the checkpoint at `path`, and with those of a .c file of type `weights`.

    The state is in double precision in both.

    Errors: UserError, a clause, if the training text is missing, has changed, is too large to be read unasked, or has
        no recorded hash: the file of its name may then be any text.
    """
    text = recorded_text(path, loaded)
    name = escape_line(text.path)
    if not (text.folder and text.fingerprint):
        raise UserError(f"{path} has no hash of its training text")
    if text.missing:
        raise UserError(f"{text.missing}: convert it in the folder of the training")
    if not text.may_be_read_unasked():
        raise UserError(f"{name} has more than {MAX_UNASKED >> 20} MiB")
    try:
        text.checked_path()
    except UserError:
        raise UserError(f"{name} has changed since the training") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{name} can't be read ({getattr(e, 'strerror', None) or e})") from None
    rounded = replace(loaded, network=c_weights.rounded(loaded.network, weights))
    try:
        after = scoring.split_loss(path, rounded, EvalOptions())
        exact = checkpoint.validation_loss(loaded)
        return Losses(scoring.split_loss(path, loaded, EvalOptions()) if exact is None else exact, after)
    except (OSError, ValueError, UserError) as e:
        raise UserError(f"{name} can't be scored ({e})") from None
