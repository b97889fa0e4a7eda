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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from pycharrnn.common.errors import UserError
from pycharrnn.engine import contract, kernel_library

_BEST = {"AVX512": "avx512", "AVX2": "avx2"}  # by PyTorch's name of the processor's best
_CELLS = {"LSTM": 0, "GRU": 1, "RNN": 2}
_IS_DOUBLE = {torch.float64: 1, torch.float32: 0}
_MAX_GATES = 4
_Pointers = ctypes.c_void_p * _MAX_GATES
_Team = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


class _Layer(ctypes.Structure):
    """struct layer of kernel.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("cell", "blocks", "T", "B", "H", "D", "vocab")),
        *((name, ctypes.c_void_p) for name in ("characters", "x", "gates", "c", "h", "extra")),
        *((name, _Pointers) for name in ("i2h_weight", "i2h_bias", "h2h_weight", "h2h_bias")),
        *((name, _Pointers) for name in ("d_i2h_weight", "d_i2h_bias", "d_h2h_weight", "d_h2h_bias")),
        *((name, ctypes.c_void_p) for name in ("dh", "dc", "d_gates", "d_reset_h", "first_dh")),
        *((name, ctypes.c_void_p) for name in ("bias", "panels", "back_panels", "left", "space", "sums")),
        *((name, ctypes.c_int64) for name in ("left_width", "space_width")),
    ]


class _Room(ctypes.Structure):
    """struct room of kernel.c."""

    _fields_ = [(name, ctypes.c_int64) for name in ("bias", "panels", "back_panels", "left_width", "space_width")]


class _Update(ctypes.Structure):
    """struct update of kernel.c."""

    _fields_ = [
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("gradient", "mean_square", "parameters")),
        *((name, ctypes.c_double) for name in ("clip", "alpha", "learning_rate", "epsilon")),
        ("squares", ctypes.c_void_p),
    ]


def _facts(**structures: type[ctypes.Structure]) -> dict[str, int]:
    """The sizes of structures and where their fields lie, under the names that kernel.c gives them."""
    facts = {name: ctypes.sizeof(structure) for name, structure in structures.items()}
    for name, structure in structures.items():
        facts |= {f"{name}.{field}": getattr(structure, field).offset for field, _ in structure._fields_}
    return facts


_FACTS = _facts(layer=_Layer, room=_Room, update=_Update)
_WORK = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]  # team, structure, parts, is_double
_FUNCTIONS = {
    **{f"charrnn_{name}": _WORK for name in ("prepare", "forward", "backward", "gradients", "rmsprop")},
    "charrnn_room": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int],
}


def best_level() -> str:
    """The highest of kernel_library.LEVELS whose instructions the processor has."""
    return _BEST.get(torch.backends.cpu.get_cpu_capability(), "any")


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled kernel for this processor, or None. Errors: UserError for a PYCHARRNN_KERNEL that there is not."""
    return kernel_library.load(os.environ.get("PYCHARRNN_KERNEL", ""), best_level(), _FACTS, _FUNCTIONS)


def name() -> str | None:
    """For which instructions the kernel in use was compiled ("avx2"), or None without one, whatever the reason."""
    try:
        library = _library()
    except UserError:
        return None
    return library and kernel_library.level(library)


def usable(parameters: torch.Tensor) -> bool:
    """Whether the kernel can work on this vector: on the CPU, in double precision or float32, in one piece."""
    fits = parameters.device == contract.CPU and parameters.dtype in _IS_DOUBLE and parameters.is_contiguous()
    return fits and _library() is not None


@functools.cache
def _team():
    """What runs a function on several threads: the OpenMP runtime that PyTorch uses, else threads of Python."""
    try:
        # One pool of threads for both: threads of two pools would wait for each other's cores.
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p)
    except (AttributeError, OSError, TypeError):
        pool = ThreadPoolExecutor(os.cpu_count())
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

        def run(function, data, threads, flags):
            others = [pool.submit(call(function), data) for _ in range(threads - 1)]
            call(function)(data)
            for other in others:
                other.result()

        return _Team(run)


def _call(name: str, structure, parts: int, dtype: torch.dtype) -> None:
    getattr(_library(), name)(_team(), ctypes.byref(structure), parts, _IS_DOUBLE[dtype])


def _address(name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Where a tensor's elements lie in memory, one after the other.

    Errors: TypeError, ValueError unless it is of this type and shape, on the CPU, and in one piece.
    """
    contract.tensor(name, tensor, dtype, contract.CPU, shape)
    if not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous, but has the strides {tensor.stride()}")
    return tensor.data_ptr()


class KernelLayer:
    """One layer over batches of T steps and B texts; stands in for bptt.LoopLayer.

    Args:
        cell: with the layer's buffers, see recurrence.py.
        inputs, recurrent: one (weight, bias) a Linear, in the cell's order: of the input, and of the state before.
        reads_characters: whether the input is characters, not the layer below, which has as many units.
        scratch: from make_scratch; layers may share it.

    Errors: TypeError, ValueError for tensors that are not what they must be; so of all methods.
    """

    def __init__(self, cell, inputs, recurrent, reads_characters: bool, scratch: dict[str, torch.Tensor]):
        V, H = inputs[0][0].shape[1], cell.h.shape[2]
        self._dtype = cell.h.dtype
        self._structure = s = _layer(cell, 0 if reads_characters else H, V)
        self._held: dict[str, object] = {"weights": (inputs, recurrent)}  # what the structure has the addresses of
        room = _room(s, self._dtype)
        packed = {name: (getattr(room, name),) for name in ("bias", "panels", "back_panels")}
        shared = _scratch_shapes(cell, V if reads_characters else len(scratch["sums"]), len(scratch["space"]))
        s.left_width, s.space_width = shared["left"][1], shared["space"][1]
        for name, tensor, shape in _buffers(cell):
            self._point(name, tensor, shape)
        for name, shape in packed.items():
            self._point(name, cell.h.new_empty(shape), shape)
        for name, shape in shared.items():
            self._point(name, scratch[name], shape)
        self._point_gates("", inputs, recurrent)

    @staticmethod
    def make_scratch(cell, V: int) -> dict[str, torch.Tensor]:
        """Buffers that one pass needs and all layers can share; V: number of characters."""
        shapes = _scratch_shapes(cell, V, torch.get_num_threads())
        return {name: cell.h.new_empty(shape) for name, shape in shapes.items()}

    def forward(self, x: torch.Tensor) -> None:
        """From the states at index 0 to those after.

        Args:
            x: (T*B,) int64 characters, or (T*B, H) inputs; to stay as they are until the gradients are made.

        Errors: IndexError for a character that the vocabulary lacks.
        """
        s = self._structure
        if s.D:
            self._point("x", x, (s.T * s.B, s.D))
        else:
            address = _address("x", x, torch.int64, (s.T * s.B,))
            contract.in_range("x", x, s.vocab)
            s.characters, self._held["x"] = address, x  # now that they are right: a backward pass reads them again
        self._call("charrnn_prepare")
        self._call("charrnn_forward")

    def backward(self, dh: torch.Tensor, d_last=None) -> tuple[torch.Tensor, ...]:
        """After forward: the gradient of the first states. `dh` becomes that of the input, if that is no characters.

        Args:
            dh: (T, B, H), gradient of h[1:] that comes from above.
            d_last: gradients (B, H) of the last states from beyond this sequence, or None for zeros.
        """
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

    def gradients(self, inputs, recurrent) -> None:
        """After backward: write the gradients of all weights and biases, laid out as the weights."""
        self._point_gates("d_", inputs, recurrent)
        self._call("charrnn_gradients")

    def _point(self, name: str, tensor: torch.Tensor, shape: Sequence[int]) -> None:
        """Fill one pointer of the structure."""
        setattr(self._structure, name, _address(name, tensor, self._dtype, shape))
        self._held[name] = tensor

    def _point_gates(self, prefix: str, inputs, recurrent) -> None:
        """Fill the pointers of all gates; one Linear may hold several gates, H rows each."""
        s = self._structure
        for kind, linears, columns in (("i2h", inputs, s.D or s.vocab), ("h2h", recurrent, s.H)):
            rows = s.blocks * s.H // len(linears)
            for part, name, shape in ((0, "weight", (rows, columns)), (1, "bias", (rows,))):
                gate = s.H * math.prod(shape[1:]) * self._dtype.itemsize  # bytes of one
                starts = (_address(f"{kind} {name}", linear[part], self._dtype, shape) for linear in linears)
                gates = [start + k * gate for start in starts for k in range(rows // s.H)]
                setattr(s, f"{prefix}{kind}_{name}", _Pointers(*gates))

    def _call(self, name: str) -> None:
        if not (self._structure.characters or self._structure.x):
            raise RuntimeError("a layer's forward pass comes before its backward pass")
        _call(name, self._structure, min(torch.get_num_threads(), len(self._held["space"])), self._dtype)


def _layer(cell, D: int, V: int) -> _Layer:
    """The sizes of a layer, without addresses; D: elements of its input, 0 for characters."""
    T, B, H = len(cell.h) - 1, *cell.h.shape[1:]
    return _Layer(_CELLS[type(cell).__name__], cell.blocks, T, B, H, D, V)


def _buffers(cell) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...]]]:
    """(name in struct layer, tensor, shape that it must have) of what a cell keeps."""
    T, B, H = len(cell.h) - 1, *cell.h.shape[1:]
    yield "gates", cell.gates, (T, B, cell.blocks * H)
    yield "h", cell.h, (T + 1, B, H)
    if hasattr(cell, "c"):
        yield "c", cell.c, (T + 1, B, H)
    if cell.kept:
        yield "extra", getattr(cell, cell.kept), (T, B, H)


def _room(layer: _Layer, dtype: torch.dtype) -> _Room:
    """How much room the kernel needs for a layer of these sizes."""
    room = _Room()
    _library().charrnn_room(ctypes.byref(layer), ctypes.byref(room), _IS_DOUBLE[dtype])
    return room


def _scratch_shapes(cell, V: int, threads: int) -> dict[str, tuple[int, ...]]:
    """Those of make_scratch, for layers whose input is as wide as they are, which need the most."""
    s = _layer(cell, cell.h.shape[2], V)
    room, G = _room(s, cell.h.dtype), s.blocks * s.H
    shapes = {"d_gates": (s.T, s.B, G), "d_reset_h": (s.B, s.H), "dc": (s.B, s.H), "first_dh": (s.B, s.H)}
    return shapes | {"left": (s.B, room.left_width), "space": (threads, room.space_width), "sums": (V, G)}


def rmsprop(parameters, gradient, mean_square, clip: float, alpha: float, learning_rate: float, epsilon: float):
    """Clip the gradient and update, as rmsprop.RMSprop says, in one pass over the flat vectors (P,).

    Returns: the squared norms of the clipped gradient and of the updated parameters.

    Errors: TypeError, ValueError for vectors that are not of one type and length.
    """
    parts, shape = torch.get_num_threads(), (parameters.numel(),)
    squares = torch.empty(parts, 2, dtype=torch.float64)
    vectors = {"gradient": gradient, "mean_square": mean_square, "parameters": parameters}
    addresses = (_address(name, vector, parameters.dtype, shape) for name, vector in vectors.items())
    update = _Update(*shape, *addresses, clip, alpha, learning_rate, epsilon, squares.data_ptr())
    _call("charrnn_rmsprop", update, parts, parameters.dtype)
    parameters[:0].zero_()  # tells autograd that they have changed
    return squares.sum(0).tolist()
