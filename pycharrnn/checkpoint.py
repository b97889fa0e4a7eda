"""Checkpoints: .t7 files of char-rnn (and of torch-rnn, to read) <-> CharRNN."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from compat import charrnn, load_t7, torchrnn
from compat.graph_match import CheckpointError, Network
from pycharrnn.options import TrainOptions, UserError


def load(path: str | os.PathLike) -> charrnn.Checkpoint:
    """The char-rnn or torch-rnn checkpoint at `path`, its weights as NumPy arrays; needs no PyTorch.

    Errors: UserError, with the path, for whatever stands in the way.
    """
    try:
        table = load_t7(path)
        return torchrnn.from_table(table) if torchrnn.is_checkpoint(table) else charrnn.from_table(table)
    except FileNotFoundError:
        raise UserError(f"File {path} does not exist. Are you sure you didn't forget to prepend cv/ ?") from None
    except (OSError, CheckpointError) as e:
        raise UserError(f"can't read {path} as a checkpoint: {getattr(e, 'strerror', None) or e}.") from e


def to_model(loaded: charrnn.Checkpoint, **dtype_and_device):
    """A CharRNN with the weights of a checkpoint; keywords as for CharRNN."""
    from pycharrnn.model import CharRNN

    n = loaded.network
    model = CharRNN(n.model, n.vocab_size, n.rnn_size, n.num_layers, n.dropout, **dtype_and_device)
    model.load_weights(n.weights)
    return model


def save(path: str | os.PathLike, model, vocab: dict[bytes, int], opt: TrainOptions, *, gradients, **progress) -> None:
    """Write a checkpoint of a CharRNN that the Lua programs load, whole or not at all.

    Args:
        gradients: flat gradient (P,), as train.lua's checkpoints hold it.
        progress: train_losses, val_losses, val_loss, i, epoch of compat.charrnn.Checkpoint.

    Errors: OSError.
    """
    weights = {name: _numpy(view) for name, view in model.weights.items()}
    network = Network(model.model, model.rnn_size, model.num_layers, model.vocab_size, model.dropout, weights)
    charrnn.save(path, charrnn.Checkpoint(network, vocab, _recorded(opt), gradients=_numpy(gradients), **progress))


def _numpy(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _recorded(opt: TrainOptions) -> dict[str, object]:
    """The options for the checkpoint: all of char-rnn's, and of our own those that are not at their default."""
    return {
        field.name: getattr(opt, field.name)
        for field in dataclasses.fields(opt)
        if field.name not in TrainOptions.not_in_char_rnn or getattr(opt, field.name) != field.default
    }
