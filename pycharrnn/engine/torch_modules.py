"""lstm and rnn on torch.nn modules: cuDNN's kernels on a GPU, oneDNN's on a CPU, float32 or mixed precision.

For gru there is nothing here: cuDNN's and torch.nn's reset gate acts after the product, char-rnn's before it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from compat.nngraph import parameter_shapes
from compat.t7_element_types import contiguous_strides
from pycharrnn.checkpoints.torch_names import GATES, MODELS
from pycharrnn.engine import contract
from pycharrnn.engine.bptt import Likelihood

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt

    from pycharrnn.engine.model import CharRNN

    Shape: TypeAlias = tuple[int, ...]

_FP16_SCALE = 256.0  # keeps small gradients above float16's smallest number; infinity is clipped, NaN becomes 0


class ModuleBPTT(Likelihood):
    """Forward and backward passes over batches of one shape; stands in for bptt.BPTT.

    The parameters are copied once into a flat vector in torch.nn's order, in which they are trained. `canonical` and
    `from_canonical` change the order of such vectors.

    Args:
        model: a CharRNN, lstm or rnn.
        T, B, batch_size: as for CharRNN.bptt.
        precision: torch.bfloat16 or torch.float16 for mixed precision, else None for that of the model.

    Attributes:
        flat: (P,), the parameters.
        log_probs: (T*B, V) after forward.
    """

    def __init__(self, model: CharRNN, T: int, B: int, batch_size: int, precision: torch.dtype | None = None):
        if model.model not in MODELS:
            raise ValueError(f"torch.nn has no {model.model} as char-rnn's")
        self.T, self.B, self.V = T, B, model.vocab_size
        self._batch_size, self._precision, self._num_layers = batch_size, precision, model.num_layers
        # Char-rnn draws dropout's masks itself and applies them between the layers. Without dropout all layers are one
        # call.
        self._calls = model.num_layers if model.dropout else 1
        layers, H, device = model.num_layers // self._calls, model.rnn_size, model.flat.device
        self._modules = [
            (nn.LSTM if model.model == "lstm" else nn.RNN)(
                H if call else model.vocab_size, H, layers, dtype=model.flat.dtype, device=device
            )
            for call in range(self._calls)
        ]
        self._decoder = nn.Linear(H, model.vocab_size, dtype=model.flat.dtype, device=device)
        order, self._sizes = _order(model, layers)
        self._order = torch.from_numpy(order).to(device)
        self.flat = model.flat.detach()[self._order]
        self._parameters = self._point_modules_into_flat()
        states = 2 if model.model == "lstm" else 1  # torch.nn's order: h, c
        self._first = [
            torch.zeros(model.num_layers, B, H, dtype=model.flat.dtype, device=device) for _ in range(states)
        ]
        self._last = [torch.zeros_like(first) for first in self._first]

    def _point_modules_into_flat(self) -> list[nn.Parameter]:
        """Make the modules' parameters views of `flat`. Returns: all of them, in its order."""
        # cuDNN takes the weights of a call without copying them if they are all that their storage holds.
        parameters = []
        storage, itemsize, start = self.flat.untyped_storage(), self.flat.element_size(), 0
        for module, names in zip((*self._modules, self._decoder), self._sizes, strict=True):
            end = start + sum(math.prod(shape) for _, shape in names)
            own, offset = storage[start * itemsize : end * itemsize], 0
            for name, shape in names:
                view = self.flat.new_empty(0).set_(own, offset, shape, contiguous_strides(shape))
                parameter = getattr(module, name)
                parameter.data = view
                parameters.append(parameter)
                offset += view.numel()
            start = end
        return parameters

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector laid out as `flat`, in the order of CharRNN.flat."""
        return torch.empty_like(vector).index_copy_(0, self._order, vector)

    def from_canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector in the order of CharRNN.flat, laid out as `flat`."""
        return vector[self._order]

    def views(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """Views of a vector laid out as `flat`, one for each parameter of the modules, for backward to write to."""
        sizes = [math.prod(shape) for names in self._sizes for _, shape in names]
        shapes = [shape for names in self._sizes for _, shape in names]
        return [part.view(shape) for part, shape in zip(torch.split(vector, sizes), shapes, strict=True)]

    def states(self, t: int) -> list[torch.Tensor]:
        """The states at index 0, before the batch, or -1, after it: c, h of layer 1, c, h of layer 2..."""
        # `.data`: autograd must not notice that they are overwritten between forward and backward, as in the original.
        of = self._first if t == 0 else self._last
        return [state.data[layer] for layer in range(self._num_layers) for state in reversed(of)]

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """See bptt.BPTT.forward; under torch.no_grad nothing is kept for a backward pass."""
        x = self._characters("x", x)
        if x.device == contract.CPU:
            contract.in_range("x", x, self.V)
        above = nn.functional.one_hot(x, self.V).to(self.flat.dtype)
        layers = self._num_layers // self._calls
        with torch.autocast(x.device.type, self._precision, enabled=self._precision is not None):
            for call, module in enumerate(self._modules):
                rows = slice(call * layers, (call + 1) * layers)
                first = [state[rows] for state in self._first]
                above, last = module(above, tuple(first) if len(first) == 2 else first[0])
                for to, state in zip(self._last, last if len(first) == 2 else (last,), strict=True):
                    to.data[rows] = state.detach()
                if masks is not None:
                    above = above * masks[call]
            self._logits = self._decoder(above).flatten(0, 1).to(self.flat.dtype)
        self.log_probs = torch.log_softmax(self._logits.detach(), 1)
        return self.log_probs

    def backward(self, d_logits: torch.Tensor, gradients: list[torch.Tensor]) -> None:
        """After forward: write the gradients of all parameters.

        Args:
            d_logits: (T*B, V), gradient of the decoder's output.
            gradients: tensors to write to, from `views`.
        """
        scale = _FP16_SCALE if self._precision == torch.float16 else 1.0
        found = torch.autograd.grad(self._logits, self._parameters, d_logits * scale)
        torch._foreach_copy_(gradients, found)
        if scale != 1:
            torch._foreach_mul_(gradients, 1 / scale)
            for gradient in gradients:
                gradient.nan_to_num_(0.0)


def _order(model: CharRNN, layers: int) -> tuple[npt.NDArray[np.int64], list[list[tuple[str, Shape]]]]:
    """How the parameters are ordered for torch.nn. One call of cuDNN over `layers` layers wants all weights, then all
    biases.

    Returns: for each element of torch.nn's flat vector (P,), where it lies in CharRNN.flat; for each module, (name,
        shape) of its parameters in this order.
    """
    H, V = model.rnn_size, model.vocab_size
    blocks = 4 if model.model == "lstm" else 1
    at: dict[str, npt.NDArray[np.int64]] = {}
    start = 0
    for name, shape in parameter_shapes(model.model, V, H, model.num_layers).items():
        size = math.prod(shape)
        index = np.arange(start, start + size, dtype=np.int64).reshape(shape)
        if blocks == 4 and not name.startswith("decoder"):
            index = np.concatenate([index[k * H : (k + 1) * H] for k in GATES])
        at[name] = index
        start += size
    order: list[npt.NDArray[np.int64]] = []
    sizes: list[list[tuple[str, Shape]]] = []
    for first in range(0, model.num_layers, layers):
        names: list[tuple[str, Shape]] = []
        for part in ("weight", "bias"):
            for layer in range(layers):
                for ours, theirs in (("i2h", "ih"), ("h2h", "hh")):
                    index = at[f"{ours}_{first + layer + 1}.{part}"]
                    names.append((f"{part}_{theirs}_l{layer}", index.shape))
                    order.append(index.ravel())
        sizes.append(names)
    order += [at["decoder.weight"].ravel(), at["decoder.bias"].ravel()]
    sizes.append([("weight", (V, H)), ("bias", (V,))])
    return np.concatenate(order), sizes
