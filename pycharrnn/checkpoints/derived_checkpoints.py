"""Checkpoints made of others: with other weights, or with another vocabulary."""

from __future__ import annotations

import dataclasses
from array import array

import numpy as np

from compat import charrnn, graph_match, nngraph
from compat.lua_random import LuaRandom
from compat.vocabulary import characters_by_id
from pycharrnn._version import __version__
from pycharrnn.checkpoints import recorded_copies


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
