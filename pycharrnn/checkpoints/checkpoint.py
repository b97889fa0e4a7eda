"""Checkpoint files as weights in NumPy arrays, and back.

Read: .t7 files of char-rnn and torch-rnn, and .safetensors files. Written: .t7 files of char-rnn, .safetensors, .json.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import charrnn, load_t7, nngraph, torchrnn
from compat.graph_expressions import CheckpointError
from compat.lua_random import LuaRandom
from compat.plain_text import printable
from pycharrnn.checkpoints import formats
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar

if TYPE_CHECKING:
    from compat.t7_objects import Encoding

# A .t7 file holds the identity matrix of its characters. From so many characters on, it may have so many times as many
# numbers as the model has parameters.
_ANY_CHARACTERS, _IDENTITY_RATIO = 4096, 32


def load(path: str | os.PathLike[str]) -> charrnn.Checkpoint:
    """The checkpoint at `path`, its weights as NumPy arrays; needs no PyTorch.

    Reads the .t7 files of char-rnn and torch-rnn, and .safetensors files that `convert` has made.

    Errors: UserError, with the path, for whatever stands in the way.
    """
    with reading(path):
        return formats.load_safetensors(path) if is_safetensors(path) else from_value(load_t7(path))


def from_value(value: object) -> charrnn.Checkpoint:
    """What load_t7 gives -> the checkpoint that it is.

    Errors: CheckpointError; T7Error for a tensor that claims more than its file holds.
    """
    return torchrnn.from_table(value) if torchrnn.is_checkpoint(value) else charrnn.from_table(value)


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what goes wrong in reading a checkpoint into a UserError with its path."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"File {path} does not exist. Are you sure you didn't forget to prepend cv/ ?") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name one of the checkpoints in it.") from None
    except (OSError, CheckpointError) as e:
        raise UserError(f"can't read {path} as a checkpoint: {getattr(e, 'strerror', None) or e}.") from e


def trained_on(loaded: charrnn.Checkpoint) -> str:
    """The text that a checkpoint was trained on, in words: where it lay, its size and hash; "" if none is recorded."""
    place = loaded.opt.get("data_dir") or loaded.opt.get("input_h5")  # torch-rnn's name
    words = [printable(place)] if isinstance(place, str) else []
    if loaded.state and loaded.state.text:
        words.append(loaded.state.text)
    return ", ".join(words)


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether a file of this name is read and written as safetensors."""
    return os.fspath(path).endswith(".safetensors")


def convert(
    loaded: charrnn.Checkpoint,
    path: str | os.PathLike[str],
    kind: str = "double",
    encoding: Encoding = "binary",
    long_size: int = 8,
) -> None:
    """Write a checkpoint in the format of the ending of `path`: .t7, .safetensors or .json; with a bar on a terminal.

    Args:
        kind, encoding, long_size: for .t7, as in compat.charrnn.save.

    Errors: OSError; UserError for another ending.
    """
    ending = os.path.splitext(os.fspath(path))[1]
    if ending == ".t7":
        check_size(loaded.network.vocab_size, _parameters(loaded))
        copies = 2 if loaded.state is None or kind != "double" else 3  # weights, gradients, mean squares
        with bar(f"writing {os.path.basename(path)}", copies * _parameters(loaded)) as advance:
            charrnn.save(path, loaded, kind, encoding, long_size, advance)
    elif ending == ".safetensors":
        formats.save_safetensors(path, loaded)
    elif ending == ".json":
        with bar(f"writing {os.path.basename(path)}", _parameters(loaded)) as advance:
            formats.save_json(path, loaded, advance)
    else:
        raise UserError(f"can't tell the format of {path} from its ending: use .t7, .safetensors or .json.")


def check_size(vocab_size: int, parameters: int) -> None:
    """Refuse a model that is tiny beside the identity matrix of its characters, which a .t7 file holds too.

    Such a model is no char-rnn's, and its file would fill the disk. Errors: UserError.
    """
    if vocab_size > _ANY_CHARACTERS and vocab_size**2 > _IDENTITY_RATIO * parameters:
        raise UserError(
            f"a .t7 file of {vocab_size} characters is {8e-9 * vocab_size**2:.1f} GB large, for a model of {parameters}"
            " parameters: use .safetensors, or train with a larger -rnn_size."
        )


def _parameters(loaded: charrnn.Checkpoint) -> int:
    return sum(w.size for w in loaded.network.weights.values())


def renumbered(
    loaded: charrnn.Checkpoint, vocab: dict[bytes, int], random: LuaRandom | None = None
) -> charrnn.Checkpoint:
    """The same model with its characters numbered as in `vocab`, which has all of them, and more with `random`.

    torch-rnn numbers characters as they first occur, char-rnn by their bytes.

    Args:
        random: what draws the weights of new characters, as char-rnn draws those of a new model: uniform in
            [-0.08, 0.08), tensor by tensor in the order of the parameters, in each of them row by row.

    Errors: ValueError for new characters without `random`.
    """
    if loaded.vocab == vocab:
        return loaded
    n = loaded.network
    shapes = nngraph.parameter_shapes(n.model, len(vocab), n.rnn_size, n.num_layers)
    # Character k of the model gets the number new_index[k], both from 0.
    new_index = [vocab[c] - 1 for c in sorted(loaded.vocab, key=loaded.vocab.__getitem__)]
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
            by_character[new_index] = n.weights[name].T if per_column else n.weights[name]
            if random is not None and is_new.any():
                new = np.broadcast_to(is_new if per_column else is_new.reshape(-1, *[1] * (len(shape) - 1)), shape)
                weights[name][new] = random.uniform(-0.08, 0.08, int(new.sum()))
    network = dataclasses.replace(n, vocab_size=len(vocab), weights=weights)
    return dataclasses.replace(loaded, network=network, vocab=dict(vocab), gradients=None, state=None)


def encoding(loaded: charrnn.Checkpoint) -> str:
    """What the characters of a checkpoint are: "utf8" for code points, else "bytes"."""
    if loaded.opt.get("encoding") == "utf8" or any(len(c) > 1 for c in loaded.vocab):
        return "utf8"
    return "bytes"
