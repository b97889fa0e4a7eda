"""Backpropagation through time over one batch, in buffers that are allocated once.

T time steps, B texts side by side, H units, V characters, P parameters. The C kernel computes where it can work on the
parameters (c_backend.py), elsewhere PyTorch (torch_backend.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from pycharrnn.engine import kernel, validation
from pycharrnn.engine.c_backend import CBackend
from pycharrnn.engine.recurrence import CELLS, Cell
from pycharrnn.engine.torch_backend import TorchBackend

if TYPE_CHECKING:
    from pycharrnn.engine.loop_layer import Linears


class NLLHead:
    """The loss of batches and its gradient, from the log-probabilities of a forward pass.

    Attributes:
        T, B, V: time steps and texts of a batch, characters of the vocabulary.
        flat: (P,), the parameters.
        log_probs: (T*B, V), in nats, after a forward pass.
    """

    T: int
    B: int
    V: int
    flat: torch.Tensor
    log_probs: torch.Tensor
    _batch_size: int  # texts that the loss is the mean over
    _d_logits: torch.Tensor | None = None

    def _characters(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Characters (T, B) as int64; whether the vocabulary has them is not checked. Errors: TypeError, ValueError."""
        validation.characters(name, value, self.flat.device, (self.T, self.B))
        return value.long()

    def nll(self, y: torch.Tensor) -> torch.Tensor:
        """The loss after a forward pass, in nats: negative log-likelihood, summed over time, the mean over the texts.

        Args:
            y: (T, B), the characters that came next: whole numbers, numbered from 0.

        Errors: as those of BPTT.forward.
        """
        self._y = self._characters("y", y).reshape(-1, 1)
        if kernel.usable(self.log_probs):
            loss = -kernel.likelihood(self.log_probs, self._y[:, 0]) / self._batch_size
            return torch.tensor(loss, dtype=self.log_probs.dtype)
        try:
            likelihoods = self.log_probs.gather(1, self._y)
        except RuntimeError:
            validation.in_range("y", self._y, self.V)
            raise
        return likelihoods.sum().neg() / self._batch_size

    def d_nll(self) -> torch.Tensor:
        """After nll: its gradient for the decoder's output, the logits: (T*B, V), in a buffer that stays the same."""
        if self._d_logits is None:
            self._d_logits = torch.empty_like(self.log_probs)
        if kernel.usable(self.log_probs):
            return kernel.loss_gradient(self.log_probs, self._y[:, 0], self._batch_size, self._d_logits)
        d = torch.exp(self.log_probs, out=self._d_logits)
        d.scatter_add_(1, self._y, d.new_full((), -1).expand(self._y.shape))
        return d.div_(self._batch_size)


class Backend(Protocol):
    """What BPTT asks of what computes; it is a torch_backend.TorchBackend or a c_backend.CBackend.

    Args of __init__:
        cells: of all layers, from the lowest, with their buffers.
        linears: of each layer, its inputs and its recurrent ones.
        decoder: (weight, bias).
        log_probs: (T*B, V), a buffer.
    """

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None) -> None:
        """Fill log_probs, and the cells' states from those at index 0.

        Args:
            x: (T*B,) int64, characters. It and the masks must stay as they are until the backward pass.
            masks: (L, T, B, H) of the parameters' type, or None.

        Errors: on the CPU IndexError for a character that the vocabulary lacks.
        """

    def backward(
        self,
        d_logits: torch.Tensor,
        linears: Sequence[tuple[Linears, Linears]],
        decoder: tuple[torch.Tensor, torch.Tensor],
        d_last: Sequence[torch.Tensor] | None,
    ) -> list[torch.Tensor]:
        """After forward: write the gradients of all weights to tensors of the same shapes.

        Args:
            d_logits: (T*B, V). d_last: see BPTT.backward.

        Returns: the gradients of the states at index 0, in new tensors.

        Errors: TypeError, ValueError.
        """


class FlatModel(Protocol):
    """The part of CharRNN that BPTT reads."""

    model: str
    num_layers: int

    def views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """See CharRNN.views."""


class BPTT(NLLHead):
    """Forward and backward passes of a network over batches of one shape.

    Attributes:
        flat: (P,), the parameters, in the order of CharRNN.flat.
        views: makes of a vector (P,) a dictionary from names to views of it, see CharRNN.views.
        weights: the parameters by name, views of `flat`.
        cells: the cell of each layer; their `states` hold the hidden states, index 0 before the batch.
        log_probs: (T*B, V) after forward.
    """

    def __init__(self, model: FlatModel, flat: torch.Tensor, T: int, B: int, batch_size: int | None = None):
        """See CharRNN.bptt, which gives its parameters as `flat` (P,)."""
        for name, value in (("T", T), ("B", B), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._cell_class, self.num_layers = CELLS[model.model], model.num_layers
        self.flat, self.views, self.weights = flat, model.views, model.views(flat)
        self.T, self.B, self._batch_size = T, B, batch_size or B
        self.V, self.H = self.weights["decoder.weight"].shape
        self.cells: list[Cell[torch.Tensor]] = [
            self._cell_class(self._empty, T, B, self.H) for _ in range(model.num_layers)
        ]
        self.log_probs = self._empty(T * B, self.V)
        passes = CBackend if kernel.usable(flat) else TorchBackend
        self._passes: Backend = passes(self.cells, *self._linears(self.weights), self.log_probs)

    def _empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=self.flat.dtype, device=self.flat.device)

    def _linears(
        self, named: dict[str, torch.Tensor]
    ) -> tuple[list[tuple[Linears, Linears]], tuple[torch.Tensor, torch.Tensor]]:
        """(weight, bias) of each layer's Linears, those of the input and those of the state before, and of the decoder.

        Args:
            named: the weights by name, or their gradients.
        """

        def group(names: Iterable[str], layer: int) -> Linears:
            return [(named[f"{name}_{layer}.weight"], named[f"{name}_{layer}.bias"]) for name in names]

        cell = self._cell_class
        layers = range(1, self.num_layers + 1)
        linears = [(group(cell.input_linears, layer), group(cell.recurrent_linears, layer)) for layer in layers]
        return linears, (named["decoder.weight"], named["decoder.bias"])

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector laid out as `flat`, in the order of CharRNN.flat, which is the same here."""
        return vector

    def from_canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector in the order of CharRNN.flat, laid out as `flat`, which is the same here."""
        return vector

    def states(self, t: int) -> list[torch.Tensor]:
        """The states of all layers at index t (0 before the batch, -1 after it): c, h of layer 1, c, h of layer 2..."""
        return [state[t] for cell in self.cells for state in cell.states]

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities (T*B, V) of the next character, from the states at index 0.

        Args:
            x: (T, B), whole numbers, characters numbered from 0.
            masks: (num_layers, T, B, H), what dropout multiplies the inputs of layers 2, 3, ..., decoder with; None:
                nothing is dropped.

        Errors: TypeError, ValueError; on the CPU IndexError for a character that the vocabulary lacks.
        """
        characters = self._characters("x", x).flatten().clone()  # nobody writes to it before the backward pass
        if masks is not None:
            validation.tensor("masks", masks, None, self.flat.device, (self.num_layers, self.T, self.B, self.H))
            masks = masks.to(self.flat.dtype)
        self._passes.forward(characters, masks)
        return self.log_probs

    def backward(
        self,
        d_logits: torch.Tensor,
        gradients: dict[str, torch.Tensor],
        d_last: Iterable[torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        """After forward: write the gradients of all weights. Returns: the gradients of states(0).

        Args:
            d_logits: (T*B, V), gradient of the decoder's output.
            gradients: name -> tensor to write to, as `weights`.
            d_last: gradients of states(-1) that come from beyond this batch, or None for zeros.

        Errors: TypeError, ValueError.
        """
        self._check("d_logits", d_logits, self.log_probs.shape)
        for name in ("decoder.weight", "decoder.bias"):  # the passes check all others
            self._check(f"the gradient of {name}", gradients[name], self.weights[name].shape)
        last = None
        if d_last is not None:
            last = validation.states("d_last", d_last, len(self.states(-1)), self.flat, (self.B, self.H))
        return self._passes.backward(d_logits, *self._linears(gradients), last)

    def _check(self, name: str, value: torch.Tensor, shape: Sequence[int]) -> None:
        """Errors: TypeError, ValueError unless `value` has this shape, and the type and device of the parameters."""
        validation.tensor(name, value, self.flat.dtype, self.flat.device, shape)
