"""The cells' buffers and the parameters by name, which the C and PyTorch backends share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pycharrnn.engine.linears import linears_of
from pycharrnn.engine.recurrence import CELL_CLASSES, Cell

if TYPE_CHECKING:
    from pycharrnn.engine.flat_model import FlatModel
    from pycharrnn.engine.linears import Linears


class CellBackend:
    """Buffers and parameters of a network over batches of one shape; see backends.Backend.

    Attributes:
        weights: name -> view of `flat`, which shares the storage of the model's parameters.
        cells: the cell of each layer, from the lowest; their `states` at index 0 precede the batch.
    """

    can_be_recorded = True

    def __init__(self, model: FlatModel, T: int, B: int):
        self._model, self._cell_class = model, CELL_CLASSES[model.model]
        self.flat, self.num_layers, self.T, self.B = model.flat.detach(), model.num_layers, T, B
        self.weights = model.views(self.flat)
        self.V, self.H = self.weights["decoder.weight"].shape
        self.cells: list[Cell[torch.Tensor]] = [
            self._cell_class(self.flat.new_empty, T, B, self.H) for _ in range(model.num_layers)
        ]
        self.log_probs = self.flat.new_empty(T * B, self.V)

    @property
    def is_portable(self) -> bool:
        return False

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        return vector

    def from_canonical(self, vector: torch.Tensor) -> torch.Tensor:
        return vector

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        return self._model.views(vector)

    def states(self, t: int) -> list[torch.Tensor]:
        """See Backend.states."""
        return [state[t] for cell in self.cells for state in cell.states]

    def _check_parameters(self) -> None:
        """Errors: RuntimeError if the model's parameters have been replaced, as by `model.to(...)`."""
        if self._model.flat.data_ptr() != self.flat.data_ptr():
            raise RuntimeError("the model's parameters have been replaced: call model.bptt() again")

    def _linears(
        self, named: dict[str, torch.Tensor]
    ) -> tuple[list[tuple[Linears, Linears]], tuple[torch.Tensor, torch.Tensor]]:
        """(weight, bias) of each layer's input and recurrent Linears, and of the decoder."""

        cell = self._cell_class.facts
        layers = range(1, self.num_layers + 1)
        linears: list[tuple[Linears, Linears]] = [
            (linears_of(named, cell.input_linears, layer), linears_of(named, cell.recurrent_linears, layer))
            for layer in layers
        ]
        return linears, (named["decoder.weight"], named["decoder.bias"])
