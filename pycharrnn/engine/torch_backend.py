"""All layers of a network with dropout and the decoder in PyTorch, on any device; one LoopLayer for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pycharrnn.engine import validation
from pycharrnn.engine.cell_backend import CellBackend
from pycharrnn.engine.loop_layer import LoopLayer

if TYPE_CHECKING:
    from pycharrnn.engine.flat_model import FlatModel


class TorchBackend(CellBackend):
    def __init__(self, model: FlatModel, T: int, B: int):
        super().__init__(model, T, B)
        linears, self._decoder = self._linears(self.weights)
        workspace = LoopLayer.make_workspace(self.cells[0])
        self._layers = [
            LoopLayer(cell, *of_layer, index == 0, workspace)
            for index, (cell, of_layer) in enumerate(zip(self.cells, linears, strict=True))
        ]
        self._logits, self._dh = torch.empty_like(self.log_probs), torch.empty_like(self.cells[0].h[1:])
        self._masked: list[torch.Tensor] = []
        self._top: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None, begins: torch.Tensor | None = None) -> None:
        self._check_parameters()
        self._masks = masks
        keep = None if begins is None else (~begins).unsqueeze(2).to(self.flat.dtype)
        if masks is not None:
            self._masked = self._masked or [torch.empty_like(cell.h[1:]) for cell in self.cells]
        above = x.flatten()
        for index, (cell, layer) in enumerate(zip(self.cells, self._layers, strict=True)):
            layer.forward(above, keep)
            above = cell.h[1:]
            if masks is not None:
                above = torch.mul(above, masks[index], out=self._masked[index])
            above = above.flatten(0, 1)
        self._top = above
        weight, bias = self._decoder
        torch.addmm(bias, above, weight.t(), out=self._logits)
        torch.log_softmax(self._logits, 1, out=self.log_probs)

    def backward(
        self, d_logits: torch.Tensor, gradients: dict[str, torch.Tensor], d_last: Sequence[torch.Tensor] | None
    ) -> list[torch.Tensor]:
        if self._top is None:
            raise RuntimeError("the forward pass comes before the backward pass")
        for name, weight in self.weights.items():
            validation.tensor(f"the gradient of {name}", gradients[name], weight.dtype, weight.device, weight.shape)
        linears, (d_weight, d_bias) = self._linears(gradients)
        torch.mm(d_logits.t(), self._top, out=d_weight)
        torch.sum(d_logits, 0, out=d_bias)
        torch.mm(d_logits, self._decoder[0], out=self._dh.flatten(0, 1))
        d_first: list[torch.Tensor] = []
        for index in range(len(self._layers) - 1, -1, -1):
            if self._masks is not None:
                self._dh.mul_(self._masks[index])
            n = len(self.cells[index].states)
            of_layer = None if d_last is None else d_last[index * n : (index + 1) * n]
            d_first = [*self._layers[index].backward(self._dh, of_layer), *d_first]
            self._layers[index].gradients(*linears[index])
        return d_first
