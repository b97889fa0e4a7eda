"""What rounding the weights of a model costs: the validation loss before and after, for `convert` to .c files."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pycharrnn.analysis import evaluation
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import c_weights, checkpoint_facts, recorded_split
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.engine.dtype_names import MIXED
from pycharrnn.text.recorded_text import MAX_UNASKED, recorded_text
from pycharrnn.text.text_folder import input_file
from pycharrnn.text.text_stats import text_stats
from pycharrnn.training import recorded_options

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint


class RoundingLosses(NamedTuple):
    """Of the validation split, in nats per character.

    Attributes:
        text: the file of both losses if it may be another text than that of the training; else "".
    """

    exact: float
    rounded: float
    text: str


def losses(path: str, loaded: Checkpoint, weights: str) -> RoundingLosses:
    """The losses with the weights of the checkpoint at `path`, and with those of a .c file of type `weights`.

    The state is in double precision in both. The loss of the checkpoint is computed, too, where the recorded one may be
    of another text, since no hash is recorded, was computed in half precision, or is of weights before a rounding.

    Errors: UserError, a clause, if the training text is missing, can't be read, has changed, or is too large to be read
    unasked.
    """
    text = recorded_text(path, loaded)
    name = escape_line(text.path)
    if not text.folder:
        raise UserError(f"{path} does not record the folder of its training text")
    if text.missing:
        raise UserError(f"{text.missing}: convert it in the folder of the training")
    if not text.is_small():
        raise UserError(f"{name} has more than {MAX_UNASKED >> 20} MiB")
    rounded = replace(loaded, network=c_weights.rounded(loaded.network, weights))
    try:
        recorded_options.options_of(path, loaded, recorded_split.OPTIONS)  # unlike `eval`, this has no flags for them
        if text.fingerprint in ("", text_stats(text.folder, -1).fingerprint):
            with tempfile.TemporaryDirectory(prefix="pycharrnn-") as folder:  # the text's own may hold another's cache
                shutil.copyfile(text.path, input_file(folder))
                of_text = EvalOptions(data_dir=folder)
                after = evaluation.split_loss(path, rounded, of_text)
                is_other = loaded.opt.get("dtype") in MIXED or checkpoint_facts.is_rounded(loaded)
                exact = checkpoint_facts.validation_loss(loaded) if text.fingerprint and not is_other else None
                if exact is None:
                    exact = evaluation.split_loss(path, loaded, of_text)
                return RoundingLosses(exact, after, "" if text.fingerprint else name)
    except (OSError, ValueError, UserError) as e:
        reason = e.fault if isinstance(e, UserError) else str(e)
        raise UserError(f"{name} can't be scored ({reason.removesuffix('.')})") from None
    raise UserError(f"{name} has changed since the training")
