"""All layers of a network with dropout and the decoder in C, on the CPU.

Texts do not depend on each other, so the kernel takes some rows of the batch through all layers at a time, and threads
wait for each other only where a pass ends. Gradients are written over the gates that they are made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pycharrnn.engine import kernel, validation
from pycharrnn.engine.kernel_structures import CELL_NUMBERS, Layer, Passes, PointerPerGate
from pycharrnn.engine.recurrence import CELLS, LSTM

if TYPE_CHECKING:
    from pycharrnn.engine.loop_layer import Linears
    from pycharrnn.engine.recurrence import Cell

_CELL_NUMBERS = {CELLS[name]: number for name, number in CELL_NUMBERS.items()}
_DECODER = 3


class CBackend:
    """Forward and backward passes over batches of one shape; see bptt.Backend.

    Errors: TypeError, ValueError for tensors that are not what they must be; of all methods as well.
    """

    def __init__(
        self,
        cells: Sequence[Cell[torch.Tensor]],
        linears: Sequence[tuple[Linears, Linears]],
        decoder: tuple[torch.Tensor, torch.Tensor],
        log_probs: torch.Tensor,
    ):
        (V, H), (states, B, _) = decoder[0].shape, cells[0].h.shape
        self._sizes = T, B, H, V = states - 1, B, H, V
        self._dtype, self._is_forward = log_probs.dtype, False
        of_cells = (Layer(_CELL_NUMBERS[type(c)], c.blocks, T, B, H, H if i else 0, V) for i, c in enumerate(cells))
        self._layers = (Layer * (len(cells) + 1))(*of_cells, Layer(_DECODER, 1, T, B, V, H, V))
        self._structure = Passes(len(self._layers), self._layers)
        self._held: dict[tuple[int, str], Any] = {}  # what the structures point to must live as long as they do
        self._masked: list[torch.Tensor] = []
        for index, buffers in enumerate((*map(_buffers, cells), [("gates", log_probs, (T * B, V))])):
            for name, tensor, shape in buffers:
                self._point(index, name, tensor, shape)
                if name == "gates" and index < len(cells):
                    self._point(index, "d_gates", tensor, shape)
            if index:
                self._point(index, "x", cells[index - 1].h[1:], (T, B, H))
        self._make_room(log_probs)
        self._point_linears("", linears, decoder)

    def _make_room(self, like: torch.Tensor) -> None:
        """Make the buffers that the kernel needs beside those of the cells. like: a tensor of the parameters' type."""
        T, B, H, V = self._sizes
        rooms = [kernel.room(layer, self._dtype) for layer in self._layers]
        left, space = (max(getattr(room, f"{name}_width") for room in rooms) for name in ("left", "space"))
        self._threads = torch.get_num_threads()
        shared = {"dh": (T, B, H), "d_reset_h": (B, H), "left": (B, left), "space": (self._threads, space)}
        buffers = {name: like.new_empty(shape) for name, shape in shared.items()}
        for index, (layer, room) in enumerate(zip(self._layers, rooms, strict=True)):
            layer.left_width, layer.space_width = left, space
            for name, buffer in buffers.items():
                self._point(index, name, buffer, shared[name])
            own: dict[str, tuple[int, ...]] = {
                name: (getattr(room, name),) for name in ("bias", "panels", "back_panels")
            }
            if layer.cell != _DECODER:
                own |= {"first_dh": (B, H)} | ({"dc": (B, H)} if layer.c else {})
            if index == 0:
                own["sums"] = (V, layer.blocks * H)
            for name, shape in own.items():
                self._point(index, name, like.new_empty(shape), shape)

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None) -> None:
        """See Backend.forward."""
        T, B, H, V = self._sizes
        lowest = self._layers[0]
        address = kernel.address("x", x, torch.int64, (T * B,))
        validation.in_range("x", x, V)
        lowest.characters, self._held[0, "x"] = address, x  # only now: the backward pass reads them without a check
        for index in range(1, len(self._layers)):
            if masks is None:
                self._layers[index].mask = None
            else:
                if (index, "masked") not in self._held:
                    self._point(index, "masked", masks.new_empty(T, B, H), (T, B, H))
                self._point(index, "mask", masks[index - 1].contiguous(), (T, B, H))
        self._call("charrnn_forward")
        self._is_forward = True

    def backward(
        self,
        d_logits: torch.Tensor,
        linears: Sequence[tuple[Linears, Linears]],
        decoder: tuple[torch.Tensor, torch.Tensor],
        d_last: Sequence[torch.Tensor] | None,
    ) -> list[torch.Tensor]:
        """See Backend.backward."""
        T, B, H, V = self._sizes
        if not self._layers[0].characters:
            raise RuntimeError("the forward pass comes before the backward pass")
        self._point(len(self._layers) - 1, "d_gates", d_logits.contiguous(), (T * B, V))
        self._point_linears("d_", linears, decoder)
        last = iter(d_last or ())
        for index, layer in enumerate(self._layers[:-1]):
            if layer.c:
                dc = self._held[index, "dc"]
                dc.zero_() if d_last is None else dc.copy_(next(last))
            layer.d_last = None
            if d_last is not None:
                self._point(index, "d_last", next(last).contiguous(), (B, H))
        if not self._is_forward:  # the gates are gradients since the last backward pass
            self._call("charrnn_forward")
        self._is_forward = False
        self._call("charrnn_backward")
        names = ("dc", "first_dh")
        found = (self._held.get((index, name)) for index in range(len(self._layers)) for name in names)
        return [d.clone() for d in found if d is not None]

    def _point(self, index: int, name: str, tensor: torch.Tensor, shape: Sequence[int]) -> None:
        """Let one pointer of a layer's structure point to a tensor, which must have this shape."""
        setattr(self._layers[index], name, kernel.address(name, tensor, self._dtype, shape))
        self._held[index, name] = tensor

    def _point_linears(
        self,
        prefix: str,
        linears: Sequence[tuple[Linears, Linears]],
        decoder: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        """Let the pointers of all gates point to their rows; one Linear may hold several gates, H rows each.

        Args:
            prefix: "" for the weights and biases, "d_" for their gradients.
        """
        self._held[-1, prefix] = linears, decoder
        for layer, (inputs, recurrent) in zip(self._layers, (*linears, ([decoder], [])), strict=True):
            for kind, group, columns in (("i2h", inputs, layer.D or layer.vocab), ("h2h", recurrent, layer.H)):
                rows = layer.blocks * layer.H // max(len(group), 1)
                for part, name, shape in ((0, "weight", (rows, columns)), (1, "bias", (rows,))):
                    gate = layer.H * math.prod(shape[1:]) * self._dtype.itemsize  # bytes of one
                    starts = (kernel.address(f"{kind} {name}", one[part], self._dtype, shape) for one in group)
                    gates = [start + k * gate for start in starts for k in range(rows // layer.H)]
                    setattr(layer, f"{prefix}{kind}_{name}", PointerPerGate(*gates))

    def _call(self, name: str) -> None:
        """Let a function of the kernel work, on as many threads as there is room for."""
        kernel.call(name, self._structure, min(torch.get_num_threads(), self._threads), self._dtype)


def _buffers(cell: Cell[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...]]]:
    """The buffers of a cell: (name in struct layer, tensor, shape that it must have)."""
    states, B, H = cell.h.shape
    T = states - 1
    yield "gates", cell.gates, (T, B, cell.blocks * H)
    yield "h", cell.h, (T + 1, B, H)
    if isinstance(cell, LSTM):
        yield "c", cell.c, (T + 1, B, H)
    if (saved := cell.saved()) is not None:
        yield "extra", saved, (T, B, H)
