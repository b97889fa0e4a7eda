"""The learner of adapt.py on the C kernel. Needs no PyTorch."""

from __future__ import annotations

import ctypes
import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.nngraph import parameter_shapes
from pycharrnn.engine import adapt
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.engine.kernel_structures import (
    CELL_NUMBERS,
    DECODER,
    Adapting,
    Layer,
    Passes,
    PointerPerGate,
    WorkspaceSizes,
)
from pycharrnn.engine.linears import linears_of
from pycharrnn.engine.recurrence import CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from compat.graph_match import Network

    Vector = npt.NDArray[np.float32]

_ITEM = np.dtype(np.float32).itemsize


class KernelLearner(adapt.Learner):
    """See adapt.Learner. Errors: KeyError, ValueError for missing weights or other shapes."""

    def __init__(self, library: ctypes.CDLL, network: Network, how: Adaptation, threads: int = 1) -> None:
        self.how, self._library, self._threads, self._of = how, library, threads, network
        n = network
        T, self._V = how.length, n.vocab_size
        shapes = parameter_shapes(n.model, n.vocab_size, n.rnn_size, n.num_layers)
        self._ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
        self._shapes = shapes
        self._trained = np.concatenate([_checked(n.weights[name], shape).ravel() for name, shape in shapes.items()])
        self._parameters, self._gradient = self._trained.copy(), np.zeros_like(self._trained)
        self._mean_square = np.zeros_like(self._trained)
        self._arrays: list[npt.NDArray[Any]] = []  # that the structures point to
        L = n.num_layers
        cell = CELLS[n.model]
        of_cells = (
            Layer(CELL_NUMBERS[n.model], cell.num_gates, T, 1, n.rnn_size, n.rnn_size if i else 0, n.vocab_size)
            for i in range(L)
        )
        self._layers = (Layer * (L + 1))(*of_cells, Layer(DECODER, 1, T, 1, n.vocab_size, n.rnn_size, n.vocab_size))
        self._allocate(T)
        self._point_weights()
        self._passes = Passes(L + 1, self._layers)
        vectors = (self._parameters, self._gradient, self._mean_square, self._trained)
        self._adapting = Adapting(
            passes=ctypes.pointer(self._passes),
            length=T,
            end_id=-1 if n.end_id is None else n.end_id,
            begins=self._new((T,), np.uint8),
            d_logits=self._layers[L].d_gates,
            size=self._trained.size,
            **{name: v.ctypes.data for name, v in zip(_VECTORS, vectors, strict=True)},
            alpha=adapt.ALPHA,
            learning_rate=how.rate,
            epsilon=adapt.EPSILON,
            pull=how.pull,
        )
        if n.end_id is not None:
            for layer in self._layers[:L]:
                layer.begins = self._adapting.begins

    def _new(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> int:
        """The address of a new array of zeros."""
        self._arrays.append(np.zeros(shape, dtype))
        return self._arrays[-1].ctypes.data

    def _allocate(self, T: int) -> None:
        """The buffers of all layers, as kernel_structs.h describes them."""
        sizes = []
        for layer in self._layers:
            sizes.append(WorkspaceSizes())
            self._library.charrnn_workspace_sizes(ctypes.byref(layer), ctypes.byref(sizes[-1]), 0)
        packed, workspace = (max(getattr(s, f"{name}_width") for s in sizes) for name in ("packed_a", "workspace"))
        H = self._layers[0].H
        shared = {
            "dh": self._new((T, H)),
            "d_reset_h": self._new((H,)),
            "packed_a": self._new((packed,)),
            "workspace": self._new((self._threads, workspace)),
        }
        below = None
        for layer, size in zip(self._layers, sizes, strict=True):
            layer.packed_a_width, layer.workspace_width = packed, workspace
            for name, address in shared.items():
                setattr(layer, name, address)
            for name in ("bias", "panels", "back_panels"):
                setattr(layer, name, self._new((getattr(size, name),)))
            gates = layer.num_gates * layer.H
            layer.gates = layer.d_gates = self._new((T, gates))
            if layer.cell == DECODER:
                layer.d_gates = self._new((T, gates))
            else:
                layer.h, layer.zeros, layer.first_dh = self._new((T + 1, H)), self._new((gates,)), self._new((H,))
                layer.extra = self._new((T, H))
                if layer.cell == CELL_NUMBERS["lstm"]:
                    layer.c, layer.dc = self._new((T + 1, H)), self._new((H,))
            if below is not None:
                layer.x = below + H * _ITEM  # h[1:] of the layer below
            below = layer.h
        self._layers[0].sums = self._new((self._V, self._layers[0].num_gates * H))

    def _point_weights(self) -> None:
        """Set the gates' pointers to their rows of the parameters and of the gradient."""
        cell = CELLS[self._of.model]
        for prefix, vector in (("", self._parameters), ("d_", self._gradient)):
            named = self._views(vector)
            for index, layer in enumerate(self._layers, 1):
                if layer.cell == DECODER:
                    groups: dict[str, Sequence[tuple[Vector, Vector]]] = {
                        "i2h": [(named["decoder.weight"], named["decoder.bias"])]
                    }
                else:
                    groups = {
                        "i2h": linears_of(named, cell.input_linears, index),
                        "h2h": linears_of(named, cell.recurrent_linears, index),
                    }
                for kind, linears in groups.items():
                    for part, name in enumerate(("weight", "bias")):
                        gates = [
                            rows for linear in linears for rows in np.split(linear[part], len(linear[0]) // layer.H)
                        ]
                        addresses = PointerPerGate(*(gate.ctypes.data for gate in gates))
                        setattr(layer, f"{prefix}{kind}_{name}", addresses)

    def _views(self, vector: Vector) -> dict[str, Vector]:
        parts = np.split(vector, self._ends[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def read(
        self, token_ids: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.float64]:
        """See adapt.Learner."""
        token_ids, targets = adapt.checked(token_ids, targets, self._V)
        found, a = np.empty(len(token_ids)), self._adapting
        a.steps, a.characters, a.targets = len(found), token_ids.ctypes.data, targets.ctypes.data
        a.log_probs = found.ctypes.data
        self._library.charrnn_adapt(ctypes.byref(a), self._threads)
        return found

    def network(self) -> Network:
        """See adapt.Learner."""
        weights = {name: view.copy() for name, view in self._views(self._parameters).items()}
        return dataclasses.replace(self._of, weights=weights, tensor_type="torch.FloatTensor")


_VECTORS = ("parameters", "gradient", "mean_square", "trained")


def _checked(weight: npt.NDArray[Any], shape: tuple[int, ...]) -> Vector:
    if weight.shape != shape:
        raise ValueError(f"a weight has the shape {weight.shape}, where {shape} belongs")
    return np.asarray(weight, np.float32)
