"""The optional C kernel: the time loops of recurrence.py with the products around them, and RMSprop, on the CPU.

setup.py compiles kernel.c where there is a compiler, once for each instruction set; nothing else depends on it. The
environment variable PYCHARRNN_KERNEL chooses one (any, avx2, avx512) or none (off).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import torch

_LEVELS = {"AVX512": ("avx512", "avx2", "any"), "AVX2": ("avx2", "any")}  # by PyTorch's name of the processor's best
_CELLS = {"LSTM": 0, "GRU": 1, "RNN": 2}
_MAX_GATES = 4
_CHUNK, _DEPTH = 64, 256  # as in kernel.c
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


class _Update(ctypes.Structure):
    """struct update of kernel.c."""

    _fields_ = [
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("gradient", "mean_square", "parameters")),
        *((name, ctypes.c_double) for name in ("clip", "alpha", "learning_rate", "epsilon")),
        ("squares", ctypes.c_void_p),
    ]


@functools.cache
def _library():
    """The compiled kernel for this processor, or None."""
    wanted = os.environ.get("PYCHARRNN_KERNEL", "")
    if wanted == "off":
        return None
    levels = _LEVELS.get(torch.backends.cpu.get_cpu_capability(), ("any",))
    for level in levels:
        found = importlib.util.find_spec(f"pycharrnn._kernel_{level}")
        if found is None or wanted not in ("", level):
            continue
        try:
            library = ctypes.CDLL(found.origin)
        except OSError:  # made for another system
            continue
        if library.charrnn_layout() == 1000 * ctypes.sizeof(_Layer) + ctypes.sizeof(_Update):
            return library
    return None


def name() -> str | None:
    """For which instructions the kernel in use was compiled ("avx2"), or None without one."""
    library = _library()
    return library and os.path.basename(library._name).split(".")[0].removeprefix("_kernel_")


def usable(parameters: torch.Tensor) -> bool:
    """Whether the kernel can work on this vector: on the CPU, in double precision or float32."""
    return parameters.device.type == "cpu" and parameters.dtype in (torch.float64, torch.float32) and bool(_library())


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


def _call(name: str, structure, dtype: torch.dtype) -> None:
    function = getattr(_library(), name)
    function(_team(), ctypes.byref(structure), torch.get_num_threads(), int(dtype == torch.float64))


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class KernelLayer:
    """One layer over batches of T steps and B texts; stands in for bptt.LoopLayer.

    Args:
        cell: with the layer's buffers, see recurrence.py.
        inputs, recurrent: one (weight, bias) a gate, of the input and of the state before.
        reads_characters: whether the input is characters, not the layer below.
        scratch: from make_scratch; layers may share it.
    """

    def __init__(self, cell, inputs, recurrent, reads_characters: bool, scratch: dict[str, torch.Tensor]):
        T, B, H = len(cell.h) - 1, *cell.h.shape[1:]
        D = 0 if reads_characters else inputs[0][0].shape[1]
        G = cell.blocks * H
        self._cell, self._scratch, self._reads_characters = cell, scratch, reads_characters
        self._weights = inputs, recurrent  # the structure holds only addresses
        self._structure = s = _Layer(_CELLS[type(cell).__name__], cell.blocks, T, B, H, D, inputs[0][0].shape[1])
        s.gates, s.h = cell.gates.data_ptr(), cell.h.data_ptr()
        s.c, s.extra = (_address(getattr(cell, name, None)) for name in ("c", cell.kept))
        _set_linears(s, "", inputs, recurrent, H)
        direct = 2 * H if cell.kept == "reset_h" else G  # gate columns that the state before reaches directly
        up = functools.partial(_round_up, to=_panel_width(cell.h.dtype))
        self._packed = {
            "bias": cell.h.new_empty(G if D else s.vocab * G),
            "panels": cell.h.new_empty((up(direct) + up(G - direct)) * (D + H)),
            "back_panels": cell.h.new_empty(G * (up(H) + up(D))),
        }
        s.left_width, s.space_width = max(D + H, G), scratch["space"].shape[1]
        for name, tensor in (self._packed | scratch).items():
            setattr(s, name, tensor.data_ptr())

    @staticmethod
    def make_scratch(cell, V: int) -> dict[str, torch.Tensor]:
        """Buffers that one pass needs and all layers can share; V: number of characters."""
        T, B, H = len(cell.h) - 1, *cell.h.shape[1:]
        G = cell.blocks * H
        space = _DEPTH * (3 * _round_up(H, _panel_width(cell.h.dtype)) + _CHUNK)
        shapes = {
            "d_gates": (T, B, G),
            "d_reset_h": (B, H),
            "dc": (B, H),
            "first_dh": (B, H),
            "left": (B, max(2 * H, G)),
            "space": (torch.get_num_threads(), space),
            "sums": (V, G),
        }
        return {name: cell.h.new_empty(shape) for name, shape in shapes.items()}

    def forward(self, x: torch.Tensor) -> None:
        """From the states at index 0 to those after. `x`: (T*B,) int64 characters, or (T*B, D) inputs."""
        if self._reads_characters:
            self._structure.characters = x.data_ptr()
        else:
            self._structure.x = x.data_ptr()
        self._x = x  # backward needs it again
        self._call("charrnn_prepare")
        self._call("charrnn_forward")

    def backward(self, dh: torch.Tensor, d_last=None) -> tuple[torch.Tensor, ...]:
        """Gradient of the first states. `dh` (T, B, H) becomes the gradient of the input, if that is no characters.

        Args:
            dh: gradient of h[1:] that comes from above.
            d_last: gradients (B, H) of the last states from beyond this sequence, or None for zeros.
        """
        s, dc = self._structure, self._scratch["dc"]
        s.dh = dh.data_ptr()
        dc.zero_()
        if d_last is not None:
            dh[-1] += d_last[-1]
            if s.c:
                dc.copy_(d_last[0])
        self._call("charrnn_backward")
        first_dh = self._scratch["first_dh"].clone()  # layers share the buffers
        return (dc.clone(), first_dh) if s.c else (first_dh,)

    def gradients(self, inputs, recurrent) -> None:
        """After backward: write the gradients of all weights and biases, laid out as the weights."""
        _set_linears(self._structure, "d_", inputs, recurrent, self._structure.H)
        self._call("charrnn_gradients")

    def _call(self, name: str) -> None:
        parts = min(torch.get_num_threads(), len(self._scratch["space"]))
        _call(name, self._structure, parts, self._cell.h.dtype)


def _call(name: str, structure, parts: int, dtype: torch.dtype) -> None:
    getattr(_library(), name)(_team(), ctypes.byref(structure), parts, int(dtype == torch.float64))


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _round_up(n: int, to: int) -> int:
    return -(-n // to) * to


def _panel_width(dtype: torch.dtype) -> int:
    return 2 * _library().charrnn_bytes() // dtype.itemsize


def _set_linears(structure: _Layer, prefix: str, inputs, recurrent, H: int) -> None:
    """Fill the pointers of all gates; one Linear may hold several gates, H rows each."""
    for kind, linears in (("i2h", inputs), ("h2h", recurrent)):
        for part in (0, 1):
            gates = [rows for linear in linears for rows in linear[part].split(H)]
            name = f"{prefix}{kind}_{('weight', 'bias')[part]}"
            setattr(structure, name, _Pointers(*(rows.data_ptr() for rows in gates)))


def rmsprop(parameters, gradient, mean_square, clip: float, alpha: float, learning_rate: float, epsilon: float):
    """Clip the gradient and update, as rmsprop.RMSprop says, in one pass over the flat vectors (P,).

    Returns: the squared norms of the clipped gradient and of the updated parameters.
    """
    parts = torch.get_num_threads()
    squares = torch.empty(parts, 2, dtype=torch.float64)
    vectors = (gradient.data_ptr(), mean_square.data_ptr(), parameters.data_ptr())
    update = _Update(len(parameters), *vectors, clip, alpha, learning_rate, epsilon, squares.data_ptr())
    _call("charrnn_rmsprop", update, parts, parameters.dtype)
    return squares.sum(0).tolist()
