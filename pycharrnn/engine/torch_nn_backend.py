"""lstm and rnn on torch.nn modules: cuDNN's kernels on a GPU, oneDNN's on a CPU, in float32 or mixed precision.

A gru is impossible: the reset gate of cuDNN and torch.nn acts after the product, char-rnn's before it. Mixed precision
is explicit: PyTorch's autocast always gives cuDNN float16, and copies of the hidden state, which would hide the
original's first habit (docs/parity.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from compat.cells import CELLS
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints.torch_names import GATES, IN_TORCH_NN
from pycharrnn.engine import packed_items, validation
from pycharrnn.engine.plain_torch import MODULES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import numpy.typing as npt

    from pycharrnn.engine.flat_model import FlatModel

    Shape: TypeAlias = tuple[int, ...]

_FP16_SCALE = 256.0  # keeps small gradients above float16's smallest number; infinity is clipped, NaN becomes 0


class TorchNNBackend:
    """See backends.Backend. Trains a copy of the parameters, in torch.nn's order and the model's precision.

    The modules have copies in the computing precision, renewed for each batch: `precision` (torch.bfloat16 or
    torch.float16 for mixed precision), by default the model's.
    """

    is_portable = False
    can_be_recorded = False  # autograd can't be recorded; the modules' loops do without Python

    def __init__(self, model: FlatModel, T: int, B: int, precision: torch.dtype | None = None):
        if model.model not in IN_TORCH_NN:
            raise ValueError(f"torch.nn has no {model.model} as char-rnn's")
        self.T, self.B, self.V, self.H, self.num_layers = T, B, model.vocab_size, model.rnn_size, model.num_layers
        self._dtype = precision or model.flat.dtype
        # char-rnn draws dropout's masks and applies them between layers. Without dropout all layers are one call.
        self._calls = model.num_layers if model.dropout else 1
        layers, H, device = model.num_layers // self._calls, model.rnn_size, model.flat.device
        self._modules = [
            MODULES[model.model](H if call else model.vocab_size, H, layers, dtype=self._dtype, device=device)
            for call in range(self._calls)
        ]
        self._decoder = nn.Linear(H, model.vocab_size, dtype=self._dtype, device=device)
        order, self._sizes = _order(model, layers)
        self._order = torch.from_numpy(order).to(device)
        self.flat = model.flat.detach()[self._order]
        self._give_weights()
        self._items: packed_items.PackedItems | None = None  # of the last batch
        states = len(CELLS[model.model].states)  # torch.nn's order: h, c
        self._last = [self.flat.new_zeros(model.num_layers, B, H) for _ in range(states)]
        # In the modules' precision, so that forward and backward read these tensors, not copies.
        self._first = [torch.zeros_like(last, dtype=self._dtype) for last in self._last]

    def _give_weights(self) -> None:
        """Make each module's parameters views of one vector per module, in the order of `flat`."""
        # The weights of a call begin where their storage begins, so that cuDNN takes them without copying each.
        self._weights: list[tuple[torch.Tensor, torch.Tensor]] = []  # those of each module: in `flat`, and its own
        self._parameters: list[nn.Parameter] = []
        parts = torch.split(self.flat, [sum(math.prod(shape) for _, shape in names) for names in self._sizes])
        for module, names, part in zip((*self._modules, self._decoder), self._sizes, parts, strict=True):
            own = torch.empty_like(part, dtype=self._dtype)
            for (name, shape), view in zip(names, torch.split(own, [math.prod(s) for _, s in names]), strict=True):
                parameter = getattr(module, name)
                parameter.data = view.view(shape)
                self._parameters.append(parameter)
            self._weights.append((part, own))

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        canonical = torch.empty_like(vector)
        canonical[self._order] = vector  # older PyTorch has no index_copy_ on MPS
        return canonical

    def from_canonical(self, vector: torch.Tensor) -> torch.Tensor:
        return vector[self._order]

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """See Backend.views; names are those of the modules: "0.weight_ih_l0"."""
        named = [(f"{k}.{name}", shape) for k, names in enumerate(self._sizes) for name, shape in names]
        parts = torch.split(vector, [math.prod(shape) for _, shape in named])
        return {name: part.view(shape) for (name, shape), part in zip(named, parts, strict=True)}

    def states(self, t: int) -> list[torch.Tensor]:
        # `.data` hides from autograd that they are overwritten between forward and backward, as in the original.
        of = self._first if t == 0 else self._last
        return [state.data[layer] for layer in range(self.num_layers) for state in reversed(of)]

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None, begins: torch.Tensor | None = None) -> None:
        """See Backend.forward; under torch.no_grad nothing is kept for a backward pass."""
        if x.device == validation.CPU:
            validation.in_range("x", x, self.V)
        for part, own in self._weights:
            own.copy_(part)
        above = nn.functional.one_hot(x, self.V).to(self._dtype)
        self._items = items = None if begins is None else packed_items.pack(begins)
        before = self._first
        if items:
            above, before = items.packed(above), self._first_of(items)
        layers = self.num_layers // self._calls
        for call, module in enumerate(self._modules):
            rows = slice(call * layers, (call + 1) * layers)
            first = [state[rows] for state in before]
            state = tuple(first) if len(first) == 2 else first[0]
            if items:
                (above, *_), last = module(items.sequence(above), state)
            else:
                above, last = module(above, state)
            for to, after in zip(self._last, last if len(first) == 2 else (last,), strict=True):
                to.data[rows] = after.detach()[:, items.lasts] if items else after.detach()
            if masks is not None:
                above = (above * (items.packed(masks[call]) if items else masks[call])).to(self._dtype)
        above = items.unpacked(above) if items else above.flatten(0, 1)
        self._logits = self._decoder(above).to(self.flat.dtype)
        self.log_probs = torch.log_softmax(self._logits.detach(), 1)

    def _first_of(self, items: packed_items.PackedItems) -> list[torch.Tensor]:
        """The states before each piece of the items."""
        N = int(items.batch_sizes[0])
        self._first_of_pieces = [first.new_zeros(self.num_layers, N, self.H) for first in self._first]
        self._follow_first(items)
        return self._first_of_pieces

    def _follow_first(self, items: packed_items.PackedItems) -> None:
        for to, first in zip(self._first_of_pieces, self._first, strict=True):
            items.write_first(to.data, first.data)

    def backward(
        self, d_logits: torch.Tensor, gradients: dict[str, torch.Tensor], d_last: Sequence[torch.Tensor] | None
    ) -> list[torch.Tensor]:
        """See Backend.backward. Errors: ValueError for a d_last."""
        if d_last is not None:
            raise ValueError("torch.nn's modules take no gradients of states")
        if self._items:
            self._follow_first(self._items)  # the caller may have changed states(0), which modules without items read
        scale = _FP16_SCALE if self._dtype == torch.float16 else 1.0
        found = torch.autograd.grad(self._logits, self._parameters, d_logits * scale)
        written = list(gradients.values())
        if written[0].is_mps:  # PyTorch before 2.3 has no _foreach_copy_ there
            for to, gradient in zip(written, found, strict=True):
                to.copy_(gradient)
        else:
            torch._foreach_copy_(written, found)
        if scale != 1:
            for gradient in written:
                gradient.mul_(1 / scale).nan_to_num_(0.0)
        return []


def _order(model: FlatModel, layers: int) -> tuple[npt.NDArray[np.int64], list[list[tuple[str, Shape]]]]:
    """The order of the parameters in torch.nn: for a call over `layers` layers all weights, then all biases.

    Returns: the index in CharRNN.flat of each element of torch.nn's flat vector (P,); for each module, (name, shape) of
        its parameters in this order.
    """
    H, V = model.rnn_size, model.vocab_size
    gates = GATES[model.model]
    at: dict[str, npt.NDArray[np.int64]] = {}
    start = 0
    for name, shape in parameter_shapes(model.model, V, H, model.num_layers).items():
        size = math.prod(shape)
        index = np.arange(start, start + size, dtype=np.int64).reshape(shape)
        if not name.startswith("decoder"):
            index = np.concatenate([index[k * H : (k + 1) * H] for k in gates])
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
