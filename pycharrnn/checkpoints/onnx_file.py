"""Checkpoints as .onnx files: the graph of checkpoints.onnx_graph, and metadata_props to read them back.

The entries are "vocab" (the bytes of each character, as JSON), "encoding", "trained_on", "program", for a model of
items "items", and "pycharrnn", the JSON text of checkpoints.metadata. The graph casts weights that need float64 to
float32, in which onnxruntime's layers compute. Reading needs no package.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import file_magic
from compat.atomic_write import atomic_write
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.t7_content import file_content
from pycharrnn.checkpoints import checkpoint_facts, formats, metadata, onnx_graph, onnx_names
from pycharrnn.checkpoints.protobuf_fields import FieldReader
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from compat.t7_objects import Array

_LARGEST = 1 << 31  # bytes of a protobuf message
_NO_WEIGHTS = 1 << 20  # bytes for all but the weights and metadata of a model
# Numbers of fields. Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH, _MODEL_PROPS, _GRAPH_INITIALIZER, _KEY, _VALUE = 7, 14, 5, 1, 2
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_MODEL_START = b"\x08"  # ir_version
_ELEMENTS: dict[object, str] = {1: "<f4", 11: "<f8"}
_LONGEST_NAME = 40  # bytes
_MOST_DIMENSIONS = 3  # of a weight; the time for the product of very many is quadratic
_Fields = Callable[[memoryview], Iterator[tuple[int, "int | memoryview"]]]


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, options: formats.WriteOptions) -> None:
    """Write a checkpoint. Errors: OSError; UserError for too large a model, or where onnx is not installed."""
    n = checkpoint.network
    stored = _stored(n.weights, options.dtype)
    if n.parameters * stored.itemsize > _LARGEST - _NO_WEIGHTS:
        smaller = formats.flag_for("dtype", "float32")
        raise UserError(f"an .onnx file can't hold {n.parameters} parameters: use {smaller}, or .safetensors.")
    tensors = onnx_names.to_onnx(n.model, n.num_layers, {name: w.astype(stored) for name, w in n.weights.items()})
    text = metadata.text_of(checkpoint)
    words = {
        "vocab": json.dumps(json.loads(text)["vocab"]),
        "encoding": checkpoint_facts.encoding(checkpoint),
        "trained_on": checkpoint_facts.trained_on(checkpoint),
        "program": checkpoint.program,
        "pycharrnn": text,
    }
    if kind := checkpoint.items:
        words["items"] = kind
    computed = np.float64 if options.dtype == "float64" else np.float32
    content = onnx_graph.model_bytes(n, tensors, computed, words)
    with atomic_write(path) as f:
        f.write(content)


def _stored(weights: dict[str, Array], dtype: str) -> np.dtype[np.generic]:
    """The dtype of the stored weights: the given one, else float32 where that holds them exactly."""
    if not dtype:
        dtype = "float32" if metadata.all_fit(weights, "float32") else "float64"
    return np.dtype(dtype).newbyteorder("<")


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the metadata and weights of a file of `save`. Errors: OSError; CheckpointError."""
    whole = file_content(path)
    content = memoryview(whole)
    fields = FieldReader().fields
    try:
        text = _words(content, fields)
        if text is None:
            raise CheckpointError("it is not an ONNX model of pycharrnn's, whose metadata have an entry of that name")
        checkpoint, shapes = metadata.from_text(text, len(content))
        n = checkpoint.network
        expected = onnx_names.shapes(n.model, n.vocab_size, n.rnn_size, n.num_layers)
        found = _tensors(content, expected, fields)
    except CheckpointError:  # a ValueError too
        raise
    except (ValueError, KeyError) as e:
        if file_magic.is_our_onnx(content):
            raise DamagedCheckpointError(f"it is a broken ONNX model ({escape_line(str(e), 80)})") from None
        other = "" if content[:1] == _MODEL_START else file_magic.name_of(whole)
        raise CheckpointError(f"it is {other or f'not an ONNX model ({escape_line(str(e), 80)})'}") from None
    metadata.require_shapes(checkpoint, expected, {name: w.shape for name, w in found.items()})
    if len({w.dtype for w in found.values()}) > 1:
        raise CheckpointError("its weights are of several types")
    weights = onnx_names.from_onnx(n.model, shapes, found)
    return metadata.with_weights(checkpoint, shapes, metadata.in_recorded_type(checkpoint, weights))


def _words(content: memoryview, fields: _Fields) -> bytes | None:
    """The text of checkpoints.metadata, or None. Errors: ValueError, KeyError for another file."""
    entries = (dict(fields(_bytes(value))) for number, value in fields(content) if number == _MODEL_PROPS)
    found = [bytes(_bytes(entry[_VALUE])) for entry in entries if bytes(_bytes(entry[_KEY])) == b"pycharrnn"]
    if len(found) > 1:
        raise ValueError("its metadata say something twice")
    return found[0] if found else None


def _tensors(content: memoryview, expected: metadata.Shapes, fields: _Fields) -> dict[str, Array]:
    """The tensors of these names. Errors: CheckpointError; ValueError, KeyError as _words."""
    found: dict[str, Array] = {}
    names = {name.encode(): name for name in expected}
    graphs = (_bytes(value) for number, value in fields(content) if number == _MODEL_GRAPH)
    for initializer in (value for graph in graphs for number, value in fields(graph) if number == _GRAPH_INITIALIZER):
        parts = list(fields(_bytes(initializer)))
        last = dict(parts)
        name = names.get(bytes(_bytes(last.get(_NAME, memoryview(b"")))[:_LONGEST_NAME]))
        if name is None:
            continue
        if name in found:
            raise CheckpointError(f"it has {name} twice")
        shape = tuple(value if isinstance(value, int) else -1 for number, value in parts if number == _DIMS)
        kind, raw = _ELEMENTS.get(last.get(_DATA_TYPE)), last.get(_RAW_DATA)
        is_shape = len(shape) <= _MOST_DIMENSIONS and min(shape, default=0) >= 0
        size = math.prod(shape) if is_shape else -1
        if kind is None or not isinstance(raw, memoryview) or len(raw) != size * np.dtype(kind).itemsize:
            raise CheckpointError(f"its {name} is not {shape!s:.80} numbers of float32 or float64 within the file")
        found[name] = np.frombuffer(raw, kind).reshape(shape)
    return found


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value
