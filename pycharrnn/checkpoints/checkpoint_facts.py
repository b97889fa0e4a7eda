"""What a checkpoint records of its training: the text, how files are read for it, and its losses."""

from __future__ import annotations

import os
import re

from compat import charrnn
from pycharrnn.checkpoints import metadata
from pycharrnn.common.display import escape_line, replace_surrogates
from pycharrnn.common.errors import UserError, flag

FROM_TEXTS = "from_texts"  # the training option, which `train FILE` sets to 1


def text_name(loaded: charrnn.Checkpoint) -> str:
    """The name of the training text, that of its folder or of torch-rnn's file; "" if not recorded.

    Example:
        >>> text_name(checkpoint.load("cv/lm_my_text_best.t7"))  # opt.data_dir is data/my_text
        'my_text'
    """
    place = loaded.data_dir or os.path.splitext(loaded.torch_rnn_file)[0]
    return escape_line(replace_surrogates(re.split(r"[/\\]", place.rstrip("/\\"))[-1].strip(".")))


def is_from_texts(loaded: charrnn.Checkpoint) -> bool:
    """Whether a checkpoint is of `pycharrnn train FILE`, pycharrnn.train(text) or -from_texts 1; of no Lua program."""
    return loaded.opt.get(FROM_TEXTS) == 1


def is_from_utf8(loaded: charrnn.Checkpoint) -> bool:
    """Whether a checkpoint is_from_texts that were valid UTF-8 or became so, not kept by -text_encoding bytes."""
    return is_from_texts(loaded) and loaded.opt.get("text_encoding") != "bytes"


def text_encoding_for(loaded: charrnn.Checkpoint, text_encoding: str = "") -> str:
    """The -text_encoding with which files are read for a model: "bytes", unless it is of texts that became UTF-8.

    `text_encoding`: what the user gives, "" for nothing. Errors: UserError if the model reads the bytes all the same.
    """
    if is_from_utf8(loaded):
        return text_encoding
    if text_encoding:
        raise UserError(
            f"{flag('text_encoding', text_encoding)} is for models of pycharrnn train FILE, and this one reads files"
            " as they are: leave it out."
        )
    return "bytes"


def validations(loaded: charrnn.Checkpoint) -> dict[int, float]:
    """Iteration -> validation loss (nats per character); char-rnn's first version recorded only that of the file."""
    return loaded.val_losses or ({} if loaded.val_loss is None else {loaded.i: loaded.val_loss})


def validation_loss(loaded: charrnn.Checkpoint) -> float | None:
    """In nats per character; None for a checkpoint written between validations."""
    return validations(loaded).get(loaded.i)


def trained_on(loaded: charrnn.Checkpoint) -> str:
    """The training text of a checkpoint: its folder, size and hash; "" if not recorded."""
    place = loaded.data_dir or loaded.torch_rnn_file
    words = [escape_line(place)] if place else []
    if loaded.text_fingerprint:
        words.append(loaded.text_fingerprint)
    return ", ".join(words)


def is_rounded(loaded: charrnn.Checkpoint) -> bool:
    """Whether all weights fit float16, as after `convert -half 1`; after a training they never do."""
    return metadata.all_fit(loaded.network.weights, "float16")


def encoding(loaded: charrnn.Checkpoint) -> str:
    """ "utf8" if the vocabulary holds code points, else "bytes"."""
    if loaded.opt.get("encoding") == "utf8" or any(len(c) > 1 for c in loaded.vocab):
        return "utf8"
    return "bytes"
