"""Loads and converts checkpoint files in all formats, as NumPy arrays."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from array import array
from collections.abc import Iterator

import numpy as np

from compat import charrnn, file_magic, graph_match, nngraph
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.lua_random import LuaRandom
from compat.t7_objects import DamagedT7Error
from compat.vocabulary import characters_by_id
from pycharrnn._version import __version__
from pycharrnn.checkpoints import formats, metadata, names, recorded_copies
from pycharrnn.common import output_folder, shell_words
from pycharrnn.common.display import escape_line, plural, replace_surrogates, series
from pycharrnn.common.errors import UserError, flag

_START = 16  # bytes at the start of a file that tell its format
_SHORT = 1000  # bytes: a shorter text is no text to train on, but rather a server's answer
_MOST_SHOWN = 40  # characters of it


def load(path: str | os.PathLike[str]) -> charrnn.Checkpoint:
    """The checkpoint at `path`, of char-rnn, torch-rnn or `convert`; only .pt files need PyTorch. Errors: UserError."""
    with reading(path):
        return format_of(path).functions().load(path)


def format_of(path: str | os.PathLike[str]) -> formats.Format:
    """The format in which to read a file: that of its ending, but T7 for other endings and for renamed .t7 files."""
    return formats.T7 if file_magic.is_t7(_start(path)) else formats.of(path) or formats.T7


def _start(path: str | os.PathLike[str], size: int = _START) -> bytes:
    """The first `size` bytes of a file; none of a pipe, on which this would wait, and of what can't be read."""
    if os.path.isfile(path):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            return f.read(size)
    return b""


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of reading a checkpoint into a UserError with its path."""
    try:
        yield
    except FileNotFoundError:
        if os.path.islink(path):
            target = escape_line(replace_surrogates(os.readlink(os.fspath(path))))
            raise UserError(f"File {path} is a link to {target}, which does not exist: name another file.") from None
        in_cv = os.path.normpath(os.path.join("cv", os.fspath(path)))
        if near := in_cv if os.path.isfile(in_cv) else names.near(os.fspath(path)):
            raise UserError(f"File {path} does not exist; did you mean {near}?") from None
        if not os.path.splitext(path)[1]:
            way_out = "train a model first, as by `pycharrnn train my_text.txt`, or name a checkpoint"
            raise UserError(f"{os.fspath(path)} does not exist: {way_out}.") from None
        if os.path.dirname(path) or not os.fspath(path).endswith(".t7"):
            raise UserError(f"File {path} does not exist: name one that exists, or a folder of checkpoints.") from None
        raise UserError(f"File {path} does not exist. Are you sure you didn't forget to prepend cv/ ?") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name one of the checkpoints in it.") from None
    except (OSError, CheckpointError) as e:
        if isinstance(e, CheckpointError) and (of_cache := why_no_checkpoint(path)):
            raise UserError(of_cache) from None
        reason = getattr(e, "strerror", None) or str(e)
        if reason == f"it is {file_magic.TEXT}":
            reason = _saved_answer(path) or reason
        damaged = isinstance(e, (DamagedT7Error, DamagedCheckpointError))
        way_out = "; use another copy of the file, or an earlier checkpoint" if damaged else ""
        raise UserError(f"can't read {path} as a checkpoint: {reason}{way_out}.") from e


def _saved_answer(path: str | os.PathLike[str]) -> str:
    """That a short text, such as an error of a server, was saved under a checkpoint's name; "" for another file."""
    text = _start(path, _SHORT)
    if not os.fspath(path).lower().endswith(formats.ENDINGS) or len(text) == _SHORT or not file_magic.is_text(text):
        return ""
    shown = "" if b"\0" in text else f" '{escape_line(text.strip(), _MOST_SHOWN)}',"  # UTF-16 would be no words
    size = f"{len(text)} {plural(len(text), 'byte')}"
    return f"it is a text of {size},{shown} saved in the file's place: download the file again"


def why_no_checkpoint(path: str | os.PathLike[str]) -> str:
    """Why a file of a text's cache is no checkpoint, and how to get the text, in a sentence; "" for another file."""
    path = os.fspath(path)
    if not file_magic.is_cache(os.path.basename(path), _start(path)):
        return ""
    data = os.path.join(os.path.dirname(path), "data_utf8.t7" if "_utf8" in os.path.basename(path) else "data.t7")
    command = shell_words.joined(["pycharrnn", "convert", shell_words.operand(data), "input.txt"])
    way_out = f"{command} writes the text" if os.path.isfile(data) else "name a checkpoint"
    return f"{path} is char-rnn's cache of a text, not a checkpoint: {way_out}."


def text_name(loaded: charrnn.Checkpoint) -> str:
    """The name of the training text, that of its folder or of torch-rnn's file; "" if not recorded.

    Example:
        >>> text_name(load("cv/lm_my_text_best.t7"))  # opt.data_dir is data/my_text
        'my_text'
    """
    place = loaded.data_dir or os.path.splitext(loaded.torch_rnn_file)[0]
    return escape_line(replace_surrogates(re.split(r"[/\\]", place.rstrip("/\\"))[-1].strip(".")))


FROM_TEXTS = "from_texts"  # the training option, which `train FILE` sets to 1


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


def with_network(loaded: charrnn.Checkpoint, network: graph_match.Network) -> charrnn.Checkpoint:
    """A checkpoint of the same model with other weights: without what the training recorded of its own ones."""
    return dataclasses.replace(
        loaded,
        network=network,
        opt=recorded_copies.without(loaded.opt),
        train_losses=array("d"),
        val_losses={},
        val_loss=None,
        i=0,
        epoch=0.0,
        gradients=None,
        state=None,
        program=f"pycharrnn {__version__}",
        era=charrnn.era_of_ours(network.model, loaded.names_gates),
    )


def convert(
    loaded: charrnn.Checkpoint,
    path: str | os.PathLike[str],
    options: formats.WriteOptions = formats.DEFAULT,
) -> None:
    """Write a checkpoint in the format of the ending of `path` (except .html), with a progress bar on a terminal.

    Errors: OSError; UserError for another ending, or a missing folder.
    """
    chosen = formats.of(path)
    if chosen is None:
        endings = series(formats.ALL_ENDINGS, "or")
        raise UserError(f"can't tell the format of {path} from its ending: use {endings}.")
    if not chosen.written:
        raise UserError(f"can't write the page {path} here: save a checkpoint, and pycharrnn convert makes the page.")
    output_folder.require_folder(path)
    if options.dtype:
        metadata.require_range(loaded.network, options.dtype, formats.flag_for("dtype", options.dtype))
    chosen.functions().save(path, loaded, options)


def remap_ids(
    loaded: charrnn.Checkpoint, vocab: dict[bytes, int], random: LuaRandom | None = None
) -> charrnn.Checkpoint:
    """The same model with the token ids of `vocab`; characters that `vocab` lacks are left out.

    torch-rnn numbers characters as they first occur, char-rnn by their bytes. `random` draws the weights of new
    characters as char-rnn draws those of a new model: uniform in [-0.08, 0.08), tensor by tensor in the order of the
    parameters, row by row. Errors: ValueError for new characters without `random`.
    """
    if loaded.vocab == vocab:
        return loaded
    n = loaded.network
    shapes = nngraph.parameter_shapes(n.model, len(vocab), n.rnn_size, n.num_layers)
    # Token id old_index[k] of the model becomes new_index[k].
    kept = {k: vocab[c] - 1 for k, c in enumerate(characters_by_id(loaded.vocab)) if c in vocab}
    old_index, new_index = list(kept), list(kept.values())
    is_new = np.ones(len(vocab), bool)
    is_new[new_index] = False
    if is_new.any() and random is None:
        raise ValueError("new characters need random weights")
    weights = dict(n.weights)
    for name, shape in shapes.items():
        per_column = name.endswith("i2h_1.weight")
        if per_column or name.startswith("decoder."):
            weights[name] = np.empty(shape, n.weights[name].dtype)
            by_character = weights[name].T if per_column else weights[name]
            by_character[new_index] = (n.weights[name].T if per_column else n.weights[name])[old_index]
            if random is not None and is_new.any():
                new = np.broadcast_to(is_new if per_column else is_new.reshape(-1, *[1] * (len(shape) - 1)), shape)
                weights[name][new] = random.uniform(-0.08, 0.08, int(new.sum()))
    network = dataclasses.replace(n, vocab_size=len(vocab), weights=weights)
    return dataclasses.replace(loaded, network=network, vocab=dict(vocab), gradients=None, state=None)


def encoding(loaded: charrnn.Checkpoint) -> str:
    """ "utf8" if the vocabulary holds code points, else "bytes"."""
    if loaded.opt.get("encoding") == "utf8" or any(len(c) > 1 for c in loaded.vocab):
        return "utf8"
    return "bytes"
