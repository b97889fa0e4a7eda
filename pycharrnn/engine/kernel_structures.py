"""The C kernel as Python sees it: its structures, field by field, and the arguments of its functions.

kernel_library.py compares LAYOUT with what a compiled library says of itself before anything is called.
"""

from __future__ import annotations

import ctypes

_MAX_GATES = 4
PointerPerGate = ctypes.c_void_p * _MAX_GATES
Team = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


class Layer(ctypes.Structure):
    """struct layer of kernel.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("cell", "blocks", "T", "B", "H", "D", "vocab")),
        *((name, ctypes.c_void_p) for name in ("characters", "x", "gates", "c", "h", "extra")),
        *((name, PointerPerGate) for name in ("i2h_weight", "i2h_bias", "h2h_weight", "h2h_bias")),
        *((name, PointerPerGate) for name in ("d_i2h_weight", "d_i2h_bias", "d_h2h_weight", "d_h2h_bias")),
        *((name, ctypes.c_void_p) for name in ("dh", "dc", "d_gates", "d_reset_h", "first_dh")),
        *((name, ctypes.c_void_p) for name in ("bias", "panels", "back_panels", "left", "space", "sums")),
        *((name, ctypes.c_int64) for name in ("left_width", "space_width")),
    ]


class Room(ctypes.Structure):
    """struct room of kernel.c."""

    _fields_ = [(name, ctypes.c_int64) for name in ("bias", "panels", "back_panels", "left_width", "space_width")]


class Update(ctypes.Structure):
    """struct update of kernel.c."""

    _fields_ = [
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("gradient", "mean_square", "parameters")),
        *((name, ctypes.c_double) for name in ("clip", "alpha", "learning_rate", "epsilon")),
        ("squares", ctypes.c_void_p),
    ]


def _layout_of(**structures: type[ctypes.Structure]) -> dict[str, int]:
    """The sizes of structures and where their fields lie, in bytes, under the names that kernel.c gives them."""
    layout = {name: ctypes.sizeof(structure) for name, structure in structures.items()}
    for name, structure in structures.items():
        layout |= {f"{name}.{field}": getattr(structure, field).offset for field, *_ in structure._fields_}
    return layout


LAYOUT = _layout_of(layer=Layer, room=Room, update=Update)
_WORK = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]  # team, structure, parts, is_double
FUNCTIONS = {
    **{f"charrnn_{name}": _WORK for name in ("prepare", "forward", "backward", "gradients", "rmsprop")},
    "charrnn_room": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int],
}
