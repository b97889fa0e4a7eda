"""The optional C kernel: the time loops of recurrence.py with the products around them, and RMSprop, on the CPU.

setup.py compiles kernel.c where there is a compiler, once for each instruction set; nothing else depends on it. The
environment variable PYCHARRNN_KERNEL chooses one (any, avx2, avx512) or none (off).

C believes every address: each has been through `_address` here, and each character through `contract.in_range`.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

from pycharrnn.engine import contract, kernel_library
from pycharrnn.engine.kernel_structures import CELL_NUMBERS, Layer, PointerPerGate, Room, Team, Update
from pycharrnn.engine.recurrence import CELLS, LSTM

if TYPE_CHECKING:
    from pycharrnn.engine.loop_layer import Linears
    from pycharrnn.engine.recurrence import Cell

_CELL_NUMBERS = {CELLS[name]: number for name, number in CELL_NUMBERS.items()}
_IS_DOUBLE = {torch.float64: 1, torch.float32: 0}


def usable(parameters: torch.Tensor) -> bool:
    """Whether the kernel can work on this vector: on the CPU, in double precision or float32, in one piece.

    Errors: UserError for a PYCHARRNN_KERNEL that there is not.
    """
    fits = parameters.device == contract.CPU and parameters.dtype in _IS_DOUBLE and parameters.is_contiguous()
    return fits and kernel_library.library() is not None


@functools.cache
def _team() -> object:
    """What runs a function on several threads: the OpenMP runtime that PyTorch uses, else threads of Python."""
    try:
        # One pool of threads for both: threads of two pools would wait for each other's cores.
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p)
    except (AttributeError, OSError, TypeError):
        pool = ThreadPoolExecutor(os.cpu_count())
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

        def run(function: int, data: int, threads: int, flags: int) -> None:
            others = [pool.submit(call(function), data) for _ in range(threads - 1)]
            call(function)(data)
            for other in others:
                other.result()

        return Team(run)


def _function(name: str) -> Callable[..., None]:
    """A function of the compiled kernel, where `usable` has said that there is one."""
    function: Callable[..., None] = getattr(kernel_library.library(), name)
    return function


def _call(name: str, structure: Layer | Update, parts: int, dtype: torch.dtype) -> None:
    """Let a function of the kernel work on a structure, in `parts` that may go to as many threads."""
    _function(name)(_team(), ctypes.byref(structure), parts, _IS_DOUBLE[dtype])


def _address(name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Where a tensor's elements lie in memory, one after the other.

    Errors: TypeError, ValueError unless it is of this type and shape, on the CPU, and in one piece.
    """
    contract.tensor(name, tensor, dtype, contract.CPU, shape)
    if not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous, but has the strides {tensor.stride()}")
    return tensor.data_ptr()


class KernelLayer:
    """One layer over batches of T steps and B texts, as loop_layer.Layer.

    Args:
        cell: with the layer's buffers.
        inputs, recurrent: the Linear modules that multiply the layer's input, and its state before the step.
        reads_characters: whether the input is characters, or what the layer below gives, which has as many units.
        scratch: from make_scratch; layers may share it.

    Errors: TypeError, ValueError for tensors that are not what they must be; of all methods as well.
    """

    def __init__(
        self,
        cell: Cell[torch.Tensor],
        inputs: Linears,
        recurrent: Linears,
        reads_characters: bool,
        scratch: dict[str, torch.Tensor],
    ):
        V, H = inputs[0][0].shape[1], cell.h.shape[2]
        self._dtype = cell.h.dtype
        self._structure = s = _layer(cell, 0 if reads_characters else H, V)
        self._weights = inputs, recurrent  # these, and self._held, must live as long as the structure points to them
        self._held: dict[str, torch.Tensor] = {}
        room = _room(s, self._dtype)
        packed = {name: (getattr(room, name),) for name in ("bias", "panels", "back_panels")}
        shared = _scratch_shapes(cell, V if reads_characters else len(scratch["sums"]), len(scratch["space"]))
        s.left_width, s.space_width = shared["left"][1], shared["space"][1]
        for name, tensor, shape in _buffers(cell):
            self._point(name, tensor, shape)
        for name, size in packed.items():
            self._point(name, cell.h.new_empty(size), size)
        for name, shape in shared.items():
            self._point(name, scratch[name], shape)
        self._point_gates("", inputs, recurrent)

    @staticmethod
    def make_scratch(cell: Cell[torch.Tensor], V: int) -> dict[str, torch.Tensor]:
        """Buffers that the passes need, and that all layers can share, by name. V: number of characters."""
        shapes = _scratch_shapes(cell, V, torch.get_num_threads())
        return {name: cell.h.new_empty(shape) for name, shape in shapes.items()}

    def forward(self, x: torch.Tensor) -> None:
        """See loop_layer.Layer.forward."""
        s = self._structure
        if s.D:
            self._point("x", x, (s.T * s.B, s.D))
        else:
            address = _address("x", x, torch.int64, (s.T * s.B,))
            contract.in_range("x", x, s.vocab)
            s.characters, self._held["x"] = address, x  # only now: the backward pass reads them again, without a check
        self._call("charrnn_prepare")
        self._call("charrnn_forward")

    def backward(self, dh: torch.Tensor, d_last: Sequence[torch.Tensor] | None = None) -> tuple[torch.Tensor, ...]:
        """See loop_layer.Layer.backward."""
        s, dc = self._structure, self._held["dc"]
        self._point("dh", dh, (s.T, s.B, s.H))
        dc.zero_()
        if d_last is not None:
            dh[-1] += d_last[-1]
            if s.c:
                dc.copy_(d_last[0])
        self._call("charrnn_backward")
        first_dh = self._held["first_dh"].clone()  # layers share the buffers
        return (dc.clone(), first_dh) if s.c else (first_dh,)

    def gradients(self, inputs: Linears, recurrent: Linears) -> None:
        """See loop_layer.Layer.gradients."""
        self._point_gates("d_", inputs, recurrent)
        self._call("charrnn_gradients")

    def _point(self, name: str, tensor: torch.Tensor, shape: Sequence[int]) -> None:
        """Let one pointer of the structure point to a tensor, which must have this shape."""
        setattr(self._structure, name, _address(name, tensor, self._dtype, shape))
        self._held[name] = tensor

    def _point_gates(self, prefix: str, inputs: Linears, recurrent: Linears) -> None:
        """Let the pointers of all gates point to their rows; one Linear may hold several gates, H rows each.

        Args:
            prefix: "" for the weights and biases, "d_" for their gradients.
        """
        s = self._structure
        for kind, linears, columns in (("i2h", inputs, s.D or s.vocab), ("h2h", recurrent, s.H)):
            rows = s.blocks * s.H // len(linears)
            for part, name, shape in ((0, "weight", (rows, columns)), (1, "bias", (rows,))):
                gate = s.H * math.prod(shape[1:]) * self._dtype.itemsize  # bytes of one
                starts = (_address(f"{kind} {name}", linear[part], self._dtype, shape) for linear in linears)
                gates = [start + k * gate for start in starts for k in range(rows // s.H)]
                setattr(s, f"{prefix}{kind}_{name}", PointerPerGate(*gates))

    def _call(self, name: str) -> None:
        """Let a function of the kernel work on this layer, on as many threads as there is room for in the scratch."""
        if not (self._structure.characters or self._structure.x):
            raise RuntimeError("a layer's forward pass comes before its backward pass")
        _call(name, self._structure, min(torch.get_num_threads(), len(self._held["space"])), self._dtype)


def _layer(cell: Cell[torch.Tensor], D: int, V: int) -> Layer:
    """The sizes of a layer, without addresses. D: elements of its input, 0 for characters; V: number of characters."""
    states, B, H = cell.h.shape
    return Layer(_CELL_NUMBERS[type(cell)], cell.blocks, states - 1, B, H, D, V)


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


def _room(layer: Layer, dtype: torch.dtype) -> Room:
    """How much room the kernel needs in the buffers of a layer of these sizes."""
    room = Room()
    _function("charrnn_room")(ctypes.byref(layer), ctypes.byref(room), _IS_DOUBLE[dtype])
    return room


def _scratch_shapes(cell: Cell[torch.Tensor], V: int, threads: int) -> dict[str, tuple[int, ...]]:
    """The shapes of make_scratch's buffers, for the layers that need the most: whose input is as wide as they are."""
    s = _layer(cell, cell.h.shape[2], V)
    room, G = _room(s, cell.h.dtype), s.blocks * s.H
    shapes = {"d_gates": (s.T, s.B, G), "d_reset_h": (s.B, s.H), "dc": (s.B, s.H), "first_dh": (s.B, s.H)}
    return shapes | {"left": (s.B, room.left_width), "space": (threads, room.space_width), "sums": (V, G)}


def rmsprop(
    parameters: torch.Tensor,
    gradient: torch.Tensor,
    mean_square: torch.Tensor,
    clip: float,
    alpha: float,
    learning_rate: float,
    epsilon: float,
) -> list[float]:
    """Clip the gradient and update, as rmsprop.RMSprop says, in one pass over the flat vectors (P,).

    Returns: two numbers, the squared norms of the clipped gradient and of the updated parameters.

    Errors: TypeError, ValueError for vectors that are not of one type and length.
    """
    parts, shape = torch.get_num_threads(), (parameters.numel(),)
    squares = torch.empty(parts, 2, dtype=torch.float64)
    vectors = {"gradient": gradient, "mean_square": mean_square, "parameters": parameters}
    addresses = (_address(name, vector, parameters.dtype, shape) for name, vector in vectors.items())
    update = Update(*shape, *addresses, clip, alpha, learning_rate, epsilon, squares.data_ptr())
    _call("charrnn_rmsprop", update, parts, parameters.dtype)
    parameters[:0].zero_()  # tells autograd that they have changed
    norms: list[float] = squares.sum(0).tolist()
    return norms
