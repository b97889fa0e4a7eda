"""Reads checkpoints of jcjohnson/torch-rnn as char-rnn checkpoints.

torch-rnn has word vectors in place of one-hot characters, and may apply batch normalisation. Both are linear after
training and fold into the weights that follow. Source: LanguageModel.lua, LSTM.lua and VanillaRNN.lua of torch-rnn;
BatchNormalization.lua of torch/nn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from compat import checkpoint_fields
from compat.cells import CELLS
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, a_module, dropout_probability
from compat.graph_match import Network
from compat.t7_objects import Table, Tensor, TorchObject
from compat.weights import WeightReader

if TYPE_CHECKING:
    from compat.t7_objects import Array

# class of a layer -> char-rnn's name of the model
_MODELS = {b"nn.LSTM": "lstm", b"nn.VanillaRNN": "rnn"}


def is_checkpoint(table: object) -> TypeGuard[Table]:
    """Whether this is torch-rnn's table, with an nn.LanguageModel; it is not checked further."""
    model = table.get(b"model") if isinstance(table, Table) else None
    return isinstance(model, TorchObject) and model.typename == b"nn.LanguageModel"


def from_table(table: Table) -> Checkpoint:
    """As charrnn.from_table; weights in float64. Errors: CheckpointError."""
    language_model = table[b"model"]
    net = language_model.get(b"net")
    modules = net.get(b"modules") if isinstance(net, TorchObject) else None
    if not isinstance(modules, Table):
        raise CheckpointError("its nn.LanguageModel has no network")
    tokens = language_model.get(b"idx_to_token")
    if not isinstance(tokens, Table):
        raise CheckpointError("its nn.LanguageModel has no idx_to_token")
    vocab = checkpoint_fields.vocabulary({token: index for index, token in tokens.items() if isinstance(token, bytes)})
    network = _WeightFolding(len(vocab)).network(modules.as_list())
    opt = checkpoint_fields.options(table[b"opt"].items()) if isinstance(table.get(b"opt"), Table) else {}
    opt.update(model=network.model, rnn_size=network.rnn_size, num_layers=network.num_layers)
    checkpoint = Checkpoint(network, vocab, opt, program="torch-rnn")
    checkpoint.train_losses = checkpoint_fields.losses(_numbers(table.get(b"train_loss_history")))
    val_losses = _numbers(table.get(b"val_loss_history"))
    iterations = [int(i) if math.isfinite(i) else i for i in _numbers(table.get(b"val_loss_history_it"))]
    checkpoint.val_losses = checkpoint_fields.losses_by_iteration(zip(iterations, val_losses, strict=False))
    checkpoint.val_loss = val_losses[-1] if val_losses else None
    if checkpoint_fields.is_number(table.get(b"i")):
        checkpoint.i = table[b"i"]
    return checkpoint


def _numbers(table: object) -> list[float]:
    """A list with NaN for values that are not numbers; empty for another type."""
    values = table.as_list() if isinstance(table, Table) else []
    return [v if checkpoint_fields.is_number(v) else math.nan for v in values]


class _WeightFolding:
    """Folds torch-rnn's linear modules into char-rnn's weights, float64, named as in nngraph.parameter_shapes."""

    def __init__(self, vocab_size: int):
        self.vocab_size = vocab_size
        self.weights: dict[str, Array] = {}
        self.model: str | None = None
        self.layers = 0
        self.rnn_size = 0
        self.dropout = 0.0
        self._reader = WeightReader()

    def network(self, modules: list[object]) -> Network:
        lookup, decoder = None, None
        scale = shift = None  # of a batch normalisation to fold: the next module reads x*scale + shift
        for module in modules:
            if not isinstance(module, TorchObject):
                raise CheckpointError("its network holds something that is not a module")
            kind = module.typename
            if kind == b"nn.LookupTable":
                lookup = self._array(module, b"weight", (self.vocab_size, None))
            elif kind in _MODELS:
                if lookup is None:
                    raise CheckpointError("its network has no nn.LookupTable before its layers")
                self._layer(module, lookup, scale, shift)
                scale = shift = None
            elif kind == b"nn.BatchNormalization":
                scale, shift = self._normalisation(module, self.rnn_size)
            elif kind == b"nn.Dropout":
                self.dropout = dropout_probability(module)
            elif kind == b"nn.Linear":
                decoder = module
            elif kind != b"nn.View":
                raise CheckpointError(f"its network holds {a_module(kind)}, unlike torch-rnn's")
        if decoder is None or self.model is None:
            raise CheckpointError("its network has no layers or no decoder")
        weight = self._array(decoder, b"weight", (self.vocab_size, self.rnn_size))
        self.tensor_type = decoder[b"weight"].typename.decode()
        bias = self._array(decoder, b"bias", (self.vocab_size,))
        if scale is not None:
            weight, bias = weight * scale, bias + weight @ shift
        self.weights["decoder.weight"], self.weights["decoder.bias"] = weight, bias
        return Network(
            self.model, self.rnn_size, self.layers, self.vocab_size, self.dropout, self.weights, self.tensor_type
        )

    def _layer(self, module: TorchObject, lookup: Array, scale: Array | None, shift: Array | None) -> None:
        """Read an nn.LSTM or nn.VanillaRNN. Errors: CheckpointError.

        Args:
            lookup: word vectors, (V, D), the input of the first layer.
            scale, shift: (H,), of the batch normalisation before this layer, or None.
        """
        model = _MODELS[module.typename]
        gates = len(CELLS[model].gates)
        if self.model not in (None, model):
            raise CheckpointError("its layers are not all of one kind")
        self.model = model
        if not self.layers:
            size = module.get(b"bias")
            self.rnn_size = size.shape[0] // gates if isinstance(size, Tensor) and size.shape else 0
        inputs = lookup.shape[1] if not self.layers else self.rnn_size
        weight = self._array(module, b"weight", (inputs + self.rnn_size, gates * self.rnn_size))
        bias = self._array(module, b"bias", (gates * self.rnn_size,))
        i2h, h2h = weight[:inputs], weight[inputs:]
        if not self.layers:
            i2h = lookup @ i2h
        elif scale is not None:
            i2h, bias = scale[:, None] * i2h, bias + shift @ i2h
        self.layers += 1
        self.weights[f"i2h_{self.layers}.weight"] = i2h.T
        self.weights[f"i2h_{self.layers}.bias"] = bias
        self.weights[f"h2h_{self.layers}.weight"] = h2h.T
        self.weights[f"h2h_{self.layers}.bias"] = np.zeros_like(bias)

    def _normalisation(self, module: TorchObject, size: int) -> tuple[Array, Array]:
        """(scale, shift) of a batch normalisation in evaluation: y = x*scale + shift."""
        mean = self._array(module, b"running_mean", (size,))
        if module.get(b"running_var") is not None:
            eps = module.get(b"eps")
            if isinstance(eps, bool) or not isinstance(eps, (int, float)):
                raise CheckpointError("its nn.BatchNormalization has no eps")
            inverse = 1 / np.sqrt(self._array(module, b"running_var", (size,)) + eps)
        else:  # earlier versions of nn: the inverse of the standard deviation
            inverse = self._array(module, b"running_std", (size,))
        if module.get(b"weight") is None:
            return inverse, -mean * inverse
        scale = self._array(module, b"weight", (size,)) * inverse
        return scale, self._array(module, b"bias", (size,)) - mean * scale

    def _array(self, module: TorchObject, key: bytes, shape: tuple[int | None, ...]) -> Array:
        return self._reader.read(module, key, shape).astype(np.float64)
