"""All layers of a network with dropout and the decoder in PyTorch, on any device: layer by layer, a loop_layer each.

Products that need no time loop are one large product each: the input's share of all gates, the gradients of all
weights, and the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pycharrnn.engine.loop_layer import LoopLayer

if TYPE_CHECKING:
    from pycharrnn.engine.loop_layer import Linears
    from pycharrnn.engine.recurrence import Cell


class TorchBackend:
    """Forward and backward passes over batches of one shape; see bptt.Backend."""

    def __init__(
        self,
        cells: Sequence[Cell[torch.Tensor]],
        linears: Sequence[tuple[Linears, Linears]],
        decoder: tuple[torch.Tensor, torch.Tensor],
        log_probs: torch.Tensor,
    ):
        self._cells, self._decoder, self._log_probs = cells, decoder, log_probs
        scratch = LoopLayer.make_scratch(cells[0])
        self._layers = [
            LoopLayer(cell, *of_layer, index == 0, scratch)
            for index, (cell, of_layer) in enumerate(zip(cells, linears, strict=True))
        ]
        self._logits, self._dh = torch.empty_like(log_probs), torch.empty_like(cells[0].h[1:])
        self._masked: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None) -> None:
        """See Backend.forward."""
        self._masks = masks
        if masks is not None:
            self._masked = self._masked or [torch.empty_like(cell.h[1:]) for cell in self._cells]
        above = x
        for index, (cell, layer) in enumerate(zip(self._cells, self._layers, strict=True)):
            layer.forward(above)
            above = cell.h[1:]
            if masks is not None:
                above = torch.mul(above, masks[index], out=self._masked[index])
            above = above.flatten(0, 1)
        self._top = above
        weight, bias = self._decoder
        torch.addmm(bias, above, weight.t(), out=self._logits)
        torch.log_softmax(self._logits, 1, out=self._log_probs)

    def backward(
        self,
        d_logits: torch.Tensor,
        linears: Sequence[tuple[Linears, Linears]],
        decoder: tuple[torch.Tensor, torch.Tensor],
        d_last: Sequence[torch.Tensor] | None,
    ) -> list[torch.Tensor]:
        """See Backend.backward."""
        torch.mm(d_logits.t(), self._top, out=decoder[0])
        torch.sum(d_logits, 0, out=decoder[1])
        torch.mm(d_logits, self._decoder[0], out=self._dh.flatten(0, 1))
        d_first: list[torch.Tensor] = []
        for index in range(len(self._layers) - 1, -1, -1):
            if self._masks is not None:
                self._dh.mul_(self._masks[index])
            n = len(self._cells[index].states)
            of_layer = None if d_last is None else d_last[index * n : (index + 1) * n]
            d_first = [*self._layers[index].backward(self._dh, of_layer), *d_first]
            self._layers[index].gradients(*linears[index])
        return d_first
