"""A checkpoint as the JSON object in a page, and back.

Model, sizes and vocabulary are plain fields for the page's JavaScript. `weights` are the tensors of
compat.nngraph.parameter_shapes in order, all first bytes of the little-endian numbers, then all second bytes, and so
on, which gzip compresses better; then gzip and base64. `train_losses` are packed likewise. A model of items has an
`end_id`. `run` is the other metadata as JSON text, since JavaScript's JSON lacks NaN. The run state is left out.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import zlib
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from compat import file_magic
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.t7_content import most_unzipped, unzipped
from compat.t7_objects import T7Error
from pycharrnn.checkpoints import metadata
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import flag

if TYPE_CHECKING:
    from compat.t7_objects import Array

_DTYPES = {"float16": "<f2", "float32": "<f4", "float64": "<f8"}  # the shortest first
_FOR_THE_PAGE = ("model", "rnn_size", "num_layers", "vocab_size", "vocab")
# Start and end of each model's element in a page's HTML; its JSON escapes <.
ELEMENT = file_magic.MODEL_IN_PAGE
ELEMENT_END = b"</script>"
_GZIP = 16 + zlib.MAX_WBITS  # zlib's wbits for gzip
_MOST_NAMES = 5  # of a page's models, in a message
_PIECE = 1 << 20  # base64 digits decoded at a time, a multiple of four
# A long base64 string in JSON: after a colon, an unescaped quotation mark can only begin a string.
_PAGE_START = re.compile(rb"\s*<!doctype html", re.IGNORECASE)
_PAGE_END = 4096  # bytes in which a page has its end tag
_LONG = re.compile(rb':[ \t\r\n]*"([A-Za-z0-9+/]{65536,}={0,2})"')


def encode(loaded: Checkpoint, name: str = "", half: bool = False) -> dict[str, Any]:
    """A checkpoint as an object for json.dumps; `name` is that of the model in a page of several.

    `half` rounds the weights to float16; else they are in the shortest of _DTYPES that holds them exactly. Errors:
    UserError for weights beyond the range of float16.
    """
    run = json.loads(metadata.text_of(dataclasses.replace(loaded, train_losses=array("d"))))
    for_the_page = {key: run.pop(key) for key in _FOR_THE_PAGE}
    dtype = "float16" if half else _shortest_exact(loaded)
    if half:
        metadata.require_range(loaded.network, dtype, flag("half", 1))
    with np.errstate(under="ignore"):  # small numbers become 0 in float16
        flat = np.concatenate([w.astype(_DTYPES[dtype]).reshape(-1) for w in loaded.network.weights.values()])
    return {
        "name": name,
        **for_the_page,
        **({} if loaded.network.end_id is None else {"end_id": loaded.network.end_id}),
        "dtype": dtype,
        "weights": _packed(flat.view("u1").reshape(-1, flat.itemsize).T.tobytes(), zlib.Z_HUFFMAN_ONLY),
        "train_losses": _packed(np.array(loaded.train_losses, "<f8").tobytes(), zlib.Z_DEFAULT_STRATEGY),
        "run": json.dumps(run),
    }


def _packed(content: bytes, strategy: int) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP, strategy=strategy)
    return base64.b64encode(packer.compress(content) + packer.flush()).decode()


def _shortest_exact(loaded: Checkpoint) -> str:
    return next(dtype for dtype in _DTYPES if metadata.all_fit(loaded.network.weights, dtype))


def decode(value: object) -> Checkpoint:
    """The checkpoint in an object of `encode`. Errors: CheckpointError."""
    try:
        return _decode(value)
    except CheckpointError:  # a ValueError too
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise DamagedCheckpointError(f"its model is not as pycharrnn writes it ({escape_line(repr(e), 80)})") from None


def _decode(value: Any) -> Checkpoint:
    size = len(value["weights"]) + len(value["run"])
    facts = {**metadata.parse(value["run"].encode(), size), **{key: value[key] for key in _FOR_THE_PAGE}}
    checkpoint, shapes = metadata.from_text(json.dumps(facts), size)
    checkpoint.train_losses = _losses(value)
    flat = _flat(value, sum(map(math.prod, shapes.values())))
    weights: dict[str, Array] = {}
    start = 0
    for name, shape in shapes.items():
        weights[name] = flat[start : start + math.prod(shape)].reshape(shape)
        start += weights[name].size
    if value["dtype"] == "float16":  # rounded, so no longer of the recorded precision
        weights = {name: w.astype("<f4") for name, w in weights.items()}
    else:
        weights = metadata.in_recorded_type(checkpoint, weights)
    return metadata.with_weights(checkpoint, shapes, weights)


def _losses(value: dict[str, Any]) -> array[float]:
    losses, rest = array("d"), b""
    for piece in _unpacked(value, "train_losses"):
        numbers = np.frombuffer(rest + piece, "<f8", (len(rest) + len(piece)) // losses.itemsize)
        losses.frombytes(numbers.astype("f8", copy=False).tobytes())
        rest = (rest + piece)[numbers.nbytes :]
    if rest:
        raise ValueError(f"{len(rest)} bytes after the last loss")
    return losses


def _flat(value: dict[str, Any], parameters: int) -> Array:
    """All weights, shape (parameters,). Errors: CheckpointError; KeyError, TypeError, ValueError."""
    if value["dtype"] not in _DTYPES:
        raise CheckpointError(
            f"its weights are {escape_line(repr(value['dtype']), 20)}, not float16, float32 or float64"
        )
    dtype = np.dtype(_DTYPES[value["dtype"]])
    if parameters * dtype.itemsize > most_unzipped(len(value["weights"])):
        raise CheckpointError(f"its model has {parameters} parameters, far more than its weights can be")
    numbers, length = np.empty((parameters, dtype.itemsize), "u1"), 0
    for piece in _unpacked(value, "weights"):
        rest = np.frombuffer(piece, "u1")
        if length + rest.size > numbers.size:
            raise CheckpointError(f"it has more weights than its model, which has {parameters} parameters")
        while rest.size:  # all first bytes, then all second bytes, ...
            byte, number = divmod(length, parameters)
            part, rest = np.split(rest, [parameters - number])
            numbers[number : number + part.size, byte] = part
            length += part.size
    if length < numbers.size:
        raise CheckpointError(f"it has {length // dtype.itemsize} weights, but its model has {parameters} parameters")
    return numbers.reshape(-1).view(dtype)


def _unpacked(value: dict[str, Any], key: str) -> Iterator[bytes]:
    """Unpack a field of _packed in pieces, to hold one form of it in memory. Errors: as _flat."""
    digits = value[key]
    pieces = (base64.b64decode(digits[at : at + _PIECE], validate=True) for at in range(0, len(digits), _PIECE))
    try:
        yield from unzipped(pieces, len(digits))
    except T7Error as e:
        raise CheckpointError(f"its {key} can't be unpacked: {e}") from None


def read_page(content: bytes | bytearray, name: str = "") -> Checkpoint:
    """The checkpoint in an HTML page; `name` may be "" if the page has one model. Errors: CheckpointError."""
    elements = list(_elements(content))
    if not elements and _PAGE_START.match(content) and b"</html" not in content[-_PAGE_END:].lower():
        raise DamagedCheckpointError("it is a page that ends too early")
    if not elements:
        raise CheckpointError("there is no model in it, as in a page that pycharrnn convert writes")
    names = []
    for start, end in elements:  # parsed one at a time, since each may be large
        value = _parsed(content, start, end)
        names.append(value.get("name") if isinstance(value, dict) else None)
        if names[-1] == name or (not name and len(elements) == 1):
            return decode(value)
    listed = ", ".join(escape_line(str(one), 60) for one in names[:_MOST_NAMES])
    listed += ", ..." if len(names) > _MOST_NAMES else ""
    count = f"{len(names)} models" if len(names) > 1 else "one model"
    raise CheckpointError(f"it is a page of {count}: name one that it has after a #, as PAGE.html#NAME ({listed})")


def names_in_page(content: bytes | bytearray) -> list[str]:
    """The names of the models in an HTML page, as read_page takes them. Errors: CheckpointError."""
    values = (_parsed(content, start, end) for start, end in _elements(content))
    named = [value.get("name") for value in values if isinstance(value, dict)]
    return [name for name in named if isinstance(name, str) and name]


def _elements(content: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Start and end of each model's JSON in a page. Errors: CheckpointError for a missing end."""
    start = content.find(ELEMENT)
    while start >= 0:
        start += len(ELEMENT)
        end = content.find(ELEMENT_END, start)
        if end < 0:
            raise DamagedCheckpointError("it is a page that ends within a model")
        yield start, end
        start = content.find(ELEMENT, end)


def _parsed(content: bytes | bytearray, start: int, end: int) -> Any:
    """The model in an element; long base64 fields are views of the page. Errors: CheckpointError."""
    pieces, at = list[bytes | bytearray](), start
    fields = dict[str, memoryview]()  # placeholder, which is invalid base64, -> field
    for found in _LONG.finditer(content, start, end):
        first, last = found.span(1)
        pieces += [content[at:first], b"!%d" % len(fields)]
        fields[f"!{len(fields)}"] = memoryview(content)[first:last]
        at = last
    try:
        value = metadata.parse(b"".join([*pieces, content[at:end]]), len(content))
    except CheckpointError:  # a ValueError too
        raise
    except (ValueError, RecursionError) as e:
        raise CheckpointError(f"the model in this page is not JSON ({escape_line(str(e), 80)})") from None
    if isinstance(value, dict):
        for key, one in value.items():
            if isinstance(one, str) and one in fields:  # a second use of a placeholder stays, as invalid base64
                value[key] = fields.pop(one)
    if fields:
        raise CheckpointError("its model has long texts where pycharrnn writes none")
    return value
