"""The C kernel's structures as ctypes, for the modules that call it, and the argument types of its functions.

kernel_structs.h describes the fields. kernel_library.py compares LAYOUT with that of a library before any call. LAYOUT
also has the constants that size arrays.
"""

from __future__ import annotations

import ctypes
from typing import Any

from pycharrnn.common.targets import IGNORED

CELL_NUMBERS = {"lstm": 0, "gru": 1, "rnn": 2}  # of kernel.c
DECODER = 3  # of kernel.c
BLOCK = 4096  # elements of a vector whose squares the kernel adds up at a time
SUMS = 16  # partial sums of a product, to which rows are padded
GROUPS = 4  # of units, whose terms are added up one after the other
MATCH_STATE = 64  # bytes of struct match_state
INLINE_EDGES = 6  # of a match_state; one with more has a row
FILTER_WORDS = 8  # of 64 bits, in a block of a filter of passages: a cache line
_MAX_GATES = 4
PointerPerGate = ctypes.c_void_p * _MAX_GATES


class LayerStruct(ctypes.Structure):
    """struct layer."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("cell", "num_gates", "T", "B", "H", "D", "vocab")),
        *((name, ctypes.c_void_p) for name in ("characters", "x", "mask", "masked", "begins", "zeros")),
        *((name, ctypes.c_void_p) for name in ("gates", "c", "h", "extra")),
        *((name, PointerPerGate) for name in ("i2h_weight", "i2h_bias", "h2h_weight", "h2h_bias")),
        *((name, PointerPerGate) for name in ("d_i2h_weight", "d_i2h_bias", "d_h2h_weight", "d_h2h_bias")),
        *((name, ctypes.c_void_p) for name in ("dh", "dc", "d_gates", "d_reset_h", "first_dh", "d_last")),
        *((name, ctypes.c_void_p) for name in ("bias", "panels", "back_panels", "packed_a", "workspace", "sums")),
        *((name, ctypes.c_int64) for name in ("packed_a_width", "workspace_width")),
    ]


class PassesStruct(ctypes.Structure):
    """struct passes."""

    _fields_ = [("layers", ctypes.c_int64), ("layer", ctypes.POINTER(LayerStruct))]


class WorkspaceSizesStruct(ctypes.Structure):
    """struct workspace_sizes."""

    _fields_ = [
        (name, ctypes.c_int64) for name in ("bias", "panels", "back_panels", "packed_a_width", "workspace_width")
    ]


class LossStruct(ctypes.Structure):
    """struct loss."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "V", "batch_size")),
        *((name, ctypes.c_void_p) for name in ("y", "log_probs", "d_logits")),
        *((name, ctypes.c_double) for name in ("temperature", "likelihood")),
    ]


class UpdateStruct(ctypes.Structure):
    """struct update."""

    _fields_ = [
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("gradient", "mean_square", "parameters")),
        *((name, ctypes.c_double) for name in ("clip", "alpha", "learning_rate", "epsilon")),
        ("squares", ctypes.c_void_p),
        *((name, ctypes.c_double) for name in ("of_gradient", "of_parameters")),
    ]


class DropStruct(ctypes.Structure):
    """struct drop."""

    _fields_ = [
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("weights", "whole", "gradient")),
        ("first", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("limit", ctypes.c_int64),
        ("factor", ctypes.c_double),
    ]


class NetworkStruct(ctypes.Structure):
    """struct network."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("cell", "num_gates", "layers", "H", "V", "is_float32", "end_id")),
        *((name, ctypes.c_void_p) for name in ("by_character", "bias", "input_panels", "recurrent_panels")),
        *((name, ctypes.c_int64) for name in ("input_size", "recurrent_size")),
        *((name, ctypes.c_void_p) for name in ("decoder_bias", "decoder_panels")),
    ]


class ReadingSizesStruct(ctypes.Structure):
    """struct reading_sizes."""

    _fields_ = [(name, ctypes.c_int64) for name in ("panel_width", "rows_per_step", "workspace")]


class ReadingStruct(ctypes.Structure):
    """struct reading."""

    _fields_ = [
        ("network", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("T", "B")),
        *((name, ctypes.c_void_p) for name in ("streams", "characters", "targets", "c", "h")),
        *((name, ctypes.c_void_p) for name in ("log_probs", "activations", "workspace")),
    ]


class PassagesStruct(ctypes.Structure):
    """struct passages."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("N", "V", "free_id")),
        ("bytes", ctypes.c_void_p),
        ("length", ctypes.c_int64),
        ("text", ctypes.c_void_p),
        ("bucket_bits", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("starts", "places")),
        ("blocks", ctypes.c_int64),
        ("filter", ctypes.c_void_p),
    ]


class CopyLimitStruct(ctypes.Structure):
    """struct copy_limit."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("passages", "recent")),
        ("seen", ctypes.c_int64),
        ("hash", ctypes.c_uint64),
        *((name, ctypes.c_int64) for name in ("due", "lowest", "highest", "is_changed", "forbidden")),
    ]


class SamplingStruct(ctypes.Structure):
    """struct sampling."""

    _fields_ = [
        ("reading", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("steps", "must_read")),
        *((name, ctypes.c_void_p) for name in ("last_ids", "temperatures", "random", "greedy", "topk", "topp")),
        *((name, ctypes.c_void_p) for name in ("pause_after", "limits", "token_ids", "token_probs", "probs")),
        ("num_candidates", ctypes.c_void_p),
        ("max_candidates", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("top_candidates", "top_probs", "units", "activations")),
        *((name, ctypes.c_void_p) for name in ("workspace", "heap")),
        *((name, ctypes.c_int64) for name in ("sampled", "failed")),
    ]


class AdaptingStruct(ctypes.Structure):
    """struct adapting."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("cell", "num_gates", "layers", "H", "V", "length", "end_id", "steps")),
        *((name, ctypes.c_void_p) for name in ("characters", "targets", "log_probs", "offsets")),
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("parameters", "mean_square", "trained", "h", "c", "gates", "extra")),
        *((name, ctypes.c_void_p) for name in ("dh", "d_state", "group_sums", "zeros", "logits", "d_logits")),
        *((name, ctypes.c_void_p) for name in ("first_steps", "next_steps", "learned")),
        *((name, ctypes.c_double) for name in ("alpha", "learning_rate", "epsilon", "pull")),
    ]


class MatcherStruct(ctypes.Structure):
    """struct matcher."""

    _fields_ = [
        ("sample", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("states", "rows")),
        *((name, ctypes.c_int64) for name in ("num_states", "num_rows", "state", "length", "position")),
    ]


def _layout_of(**structures: type[ctypes.Structure]) -> dict[str, int]:
    """Name -> size of each structure and offset of each field, in bytes, as in charrnn_layout."""
    layout = {name: ctypes.sizeof(structure) for name, structure in structures.items()}
    for name, structure in structures.items():
        layout |= {f"{name}.{field}": getattr(structure, field).offset for field, *_ in structure._fields_}
    return layout


LAYOUT = _layout_of(
    layer=LayerStruct,
    passes=PassesStruct,
    workspace_sizes=WorkspaceSizesStruct,
    loss=LossStruct,
    update=UpdateStruct,
    drop=DropStruct,
    network=NetworkStruct,
    reading_sizes=ReadingSizesStruct,
    reading=ReadingStruct,
    passages=PassagesStruct,
    copy_limit=CopyLimitStruct,
    sampling=SamplingStruct,
    adapting=AdaptingStruct,
    matcher=MatcherStruct,
) | {
    "block": BLOCK,
    "ignored": IGNORED,
    "sums": SUMS,
    "groups": GROUPS,
    "match_state": MATCH_STATE,
    "inline_edges": INLINE_EDGES,
    "filter_words": FILTER_WORDS,
}
_WORK = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]  # structure, threads, precision
FUNCTIONS: dict[str, list[Any]] = {
    **{f"charrnn_{name}": _WORK for name in ("forward", "backward", "likelihood", "loss_gradient", "rmsprop", "drop")},
    "charrnn_workspace_sizes": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int],
    "charrnn_reading_sizes": [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p],
    "charrnn_read": [ctypes.c_void_p],
    "charrnn_sample": [ctypes.c_void_p],
    "charrnn_adapt": [ctypes.c_void_p, ctypes.c_int],
    "charrnn_build_matcher": [ctypes.c_void_p, ctypes.c_int64],
    "charrnn_match": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int],
    "charrnn_finish_matching": [ctypes.c_void_p] * 5,
    "charrnn_index_passages": [ctypes.c_void_p],
    "charrnn_filter_passages": [ctypes.c_void_p],
    "charrnn_append": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64],
    "charrnn_forbid": [ctypes.c_void_p, ctypes.c_void_p],
}
