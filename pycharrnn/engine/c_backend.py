"""All layers of a network with dropout and the decoder in C, on the CPU. Gradients overwrite the gates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from pycharrnn.engine import kernel, kernel_library, validation
from pycharrnn.engine.cell_backend import CellBackend
from pycharrnn.engine.kernel_structures import CELL_NUMBERS, DECODER, LayerStruct, PassesStruct, PointerPerGate
from pycharrnn.engine.recurrence import CELL_CLASSES, LSTM

if TYPE_CHECKING:
    from pycharrnn.engine.flat_model import FlatModel
    from pycharrnn.engine.linears import Linears
    from pycharrnn.engine.recurrence import Cell

_CELL_NUMBERS = {CELL_CLASSES[name]: number for name, number in CELL_NUMBERS.items()}


class _Pointee(NamedTuple):
    """A tensor that a structure points to, which this keeps alive, with the dtype and shape that C expects.

    `address`, `nbytes`: of its storage.
    """

    tensor: torch.Tensor
    dtype: torch.dtype
    shape: tuple[int, ...]
    storage: torch.UntypedStorage
    address: int
    nbytes: int

    @classmethod
    def at(cls, name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> _Pointee:
        address, storage = kernel.address(name, tensor, dtype, shape), tensor.untyped_storage()
        return cls(tensor, dtype, shape, storage, address, storage.nbytes())

    def has_moved(self) -> bool:
        return self.tensor.data_ptr() != self.address or self.storage.nbytes() != self.nbytes


class CBackend(CellBackend):
    """See backends.Backend. All methods raise TypeError, ValueError for tensors of another type, shape or layout."""

    can_be_recorded = False

    def __init__(self, model: FlatModel, T: int, B: int, products: torch.dtype | None = None):
        """products: torch.bfloat16 rounds the factors of matrix products of a model of float32 to it; sums are float32.

        Source: Micikevicius et al. 2018, "Mixed Precision Training" (with float16).
        """
        super().__init__(model, T, B)
        V, H, cells = self.V, self.H, self.cells
        self._dtype, self._is_forward = self.flat.dtype, False
        self._products = products or self._dtype
        of_cells = (
            LayerStruct(_CELL_NUMBERS[type(c)], len(c.facts.gates), T, B, H, H if i else 0, V)
            for i, c in enumerate(cells)
        )
        self._layers = (LayerStruct * (len(cells) + 1))(*of_cells, LayerStruct(DECODER, 1, T, B, V, H, V))
        self._structure = PassesStruct(len(self._layers), self._layers)
        self._pointees: dict[tuple[int, str], _Pointee] = {}
        self._parameters: dict[str, list[_Pointee]] = {}  # "" for weights and biases, "d_" for their gradients
        for index, buffers in enumerate((*map(_buffers, cells), [("gates", self.log_probs, (T * B, V))])):
            for name, tensor, shape in buffers:
                self._point(index, name, tensor, shape)
                if name == "gates" and index < len(cells):
                    self._point(index, "d_gates", tensor, shape)
            if index:
                self._point(index, "x", cells[index - 1].h[1:], (T, B, H))
        self._allocate_workspace()
        self._point_linears("", self.weights)

    @property
    def is_portable(self) -> bool:
        return kernel_library.rounds_as_elsewhere()

    def _allocate_workspace(self) -> None:
        T, B, H = self.T, self.B, self.H
        sizes = [kernel.workspace_sizes(layer, self._dtype) for layer in self._layers]
        packed, workspace = (max(getattr(s, f"{name}_width") for s in sizes) for name in ("packed_a", "workspace"))
        self._threads = torch.get_num_threads()
        shared = {
            "dh": (T, B, H),
            "d_reset_h": (B, H),
            "packed_a": (B, packed),
            "workspace": (self._threads, workspace),
        }
        buffers = {name: self.flat.new_empty(shape) for name, shape in shared.items()}
        for index, (layer, size) in enumerate(zip(self._layers, sizes, strict=True)):
            layer.packed_a_width, layer.workspace_width = packed, workspace
            for name, buffer in buffers.items():
                self._point(index, name, buffer, shared[name])
            own: dict[str, tuple[int, ...]] = {
                name: (getattr(size, name),) for name in ("bias", "panels", "back_panels")
            }
            if layer.cell != DECODER:
                own |= {"first_dh": (B, H)} | ({"dc": (B, H)} if layer.c else {})
                gates = layer.num_gates * H
                self._point(index, "zeros", self.flat.new_zeros(gates), (gates,))
            if index == 0:
                own["sums"] = (self.V, layer.num_gates * H)
            for name, shape in own.items():
                self._point(index, name, self.flat.new_empty(shape), shape)

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None, begins: torch.Tensor | None = None) -> None:
        self._check_parameters()
        T, B, H = self.T, self.B, self.H
        kernel.address("x", x, torch.int64, (T, B))
        validation.in_range("x", x, self.V)
        self._point(0, "characters", x, (T, B), torch.int64)  # after the checks, which `backward` does not repeat
        for index in range(1, len(self._layers)):
            if masks is None:
                self._layers[index].mask = None
                self._pointees.pop((index, "mask"), None)
            else:
                if (index, "masked") not in self._pointees:
                    self._point(index, "masked", masks.new_empty(T, B, H), (T, B, H))
                self._point(index, "mask", masks[index - 1].contiguous(), (T, B, H))
        for index, layer in enumerate(self._layers[:-1]):
            if begins is None:
                layer.begins = None
                self._pointees.pop((index, "begins"), None)
            else:
                self._point(index, "begins", begins, (T, B), torch.bool)
        self._call("charrnn_forward")
        self._is_forward = True

    def backward(
        self, d_logits: torch.Tensor, gradients: dict[str, torch.Tensor], d_last: Sequence[torch.Tensor] | None
    ) -> list[torch.Tensor]:
        T, B, H, V = self.T, self.B, self.H, self.V
        if not self._layers[0].characters:
            raise RuntimeError("the forward pass comes before the backward pass")
        self._point(len(self._layers) - 1, "d_gates", d_logits.contiguous(), (T * B, V))
        self._point_linears("d_", gradients)
        last = iter(d_last or ())
        for index, layer in enumerate(self._layers[:-1]):
            if layer.c:
                dc = self._pointees[index, "dc"].tensor
                dc.zero_() if d_last is None else dc.copy_(next(last))
            layer.d_last = None
            self._pointees.pop((index, "d_last"), None)
            if d_last is not None:
                self._point(index, "d_last", next(last).contiguous(), (B, H))
        if not self._is_forward:  # the last backward pass has overwritten the gates
            self._call("charrnn_forward")
        self._is_forward = False
        self._call("charrnn_backward")
        names = ("dc", "first_dh")
        found = (self._pointees.get((index, name)) for index in range(len(self._layers)) for name in names)
        return [d.tensor.clone() for d in found if d is not None]

    def _point(
        self, index: int, name: str, tensor: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> None:
        """Set a pointer of a layer's structure to a tensor of this shape and type, by default the parameters'."""
        pointee = _Pointee.at(name, tensor, dtype or self._dtype, shape)
        setattr(self._layers[index], name, pointee.address)
        self._pointees[index, name] = pointee

    def _point_linears(self, prefix: str, named: dict[str, torch.Tensor]) -> None:
        """Set the gates' pointers to rows of the weights (prefix "") or gradients ("d_"); a Linear may hold several."""
        linears, decoder = self._linears(named)
        pointees: list[_Pointee] = []
        no_linears: Linears = []
        for layer, (inputs, recurrent) in zip(self._layers, (*linears, ([decoder], no_linears)), strict=True):
            for kind, group, columns in (("i2h", inputs, layer.D or layer.vocab), ("h2h", recurrent, layer.H)):
                rows = layer.num_gates * layer.H // max(len(group), 1)
                for part, name, shape in ((0, "weight", (rows, columns)), (1, "bias", (rows,))):
                    gate = layer.H * math.prod(shape[1:]) * self._dtype.itemsize  # bytes of one
                    of_group = [_Pointee.at(f"{prefix}{kind}_{name}", g[part], self._dtype, shape) for g in group]
                    gates = [p.address + k * gate for p in of_group for k in range(rows // layer.H)]
                    setattr(layer, f"{prefix}{kind}_{name}", PointerPerGate(*gates))
                    pointees += of_group
        self._parameters[prefix] = pointees

    def _follow_moved_storage(self) -> None:
        """Set the pointers of tensors whose storage has moved, as by share_memory_(). Errors: TypeError, ValueError."""
        for (index, name), pointee in self._pointees.items():
            if pointee.has_moved():
                self._point(index, name, pointee.tensor, pointee.shape, pointee.dtype)
        if any(pointee.has_moved() for pointee in self._parameters[""]):
            self._point_linears("", self.weights)

    def _call(self, name: str) -> None:
        """Call a function of the kernel, on at most as many threads as the workspace is for."""
        self._follow_moved_storage()
        kernel.call(name, self._structure, min(torch.get_num_threads(), self._threads), self._products)


def _buffers(cell: Cell[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...]]]:
    """(name in struct layer, tensor, required shape) of each buffer of a cell."""
    states, B, H = cell.h.shape
    T = states - 1
    yield "gates", cell.gates, (T, B, len(cell.facts.gates) * H)
    yield "h", cell.h, (T + 1, B, H)
    if isinstance(cell, LSTM):
        yield "c", cell.c, (T + 1, B, H)
    if (saved := cell.saved_for_backward()) is not None:
        yield "extra", saved, (T, B, H)
