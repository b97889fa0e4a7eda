"""Checkpoints in other files than .t7: safetensors (read and written) and JSON (written).

A .safetensors file holds the named weights of compat.nngraph.parameter_shapes, in the precision of the checkpoint; its
metadata is one JSON text under "pycharrnn" with the rest: model, vocabulary, options, losses. The state of the training
run (Checkpoint.state) is left out: a run goes on from its .t7 files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from compat import foreign, recorded
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError
from compat.graph_match import Network
from compat.nngraph import MODELS, parameter_shapes
from compat.plain_text import printable
from compat.t7_content import file_content
from compat.t7_element_types import element_dtype
from compat.whole_file import whole_file
from pycharrnn.common import extras

_Shapes = dict[str, tuple[int, ...]]
_MOST_LAYERS = 100_000
# sign in a JSON text -> bytes of memory that the value after it takes at most
_JSON_MEMORY = {b"{": 240, b"[": 64, b",": 40, b":": 100}
_JSON_SPARE = 128 << 20  # bytes that a JSON text may take beyond twice the size of its file


def save_safetensors(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint as safetensors. Errors: OSError; UserError where safetensors is not installed."""
    weights = {name: np.ascontiguousarray(w) for name, w in checkpoint.network.weights.items()}
    content = _safetensors().save(weights, metadata={"pycharrnn": json.dumps(_metadata(checkpoint))})
    with whole_file(path) as f:
        f.write(content)


def load_safetensors(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what save_safetensors has written. Errors: OSError; CheckpointError; UserError without safetensors."""
    numpy_format = _safetensors()
    content = bytes(file_content(path))
    if not foreign.is_safetensors(content):
        raise CheckpointError(f"it is {foreign.name_of(content) or 'no safetensors file'}")
    try:
        checkpoint, shapes, claimed = _read_header(content)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"its metadata are not pycharrnn's ({printable(repr(e), 80)})") from None
    if claimed != shapes:
        n = checkpoint.network
        sizes = [n.vocab_size, n.rnn_size, n.num_layers]
        raise CheckpointError(f"its tensors are not those of an {n.model} of sizes {sizes}")
    try:
        weights = numpy_format.load(content)
    except Exception as e:  # the library has classes of its own, and has had others
        raise CheckpointError(f"it is no safetensors file ({printable(str(e))})") from None
    if any(w.dtype.kind != "f" for w in weights.values()):
        raise CheckpointError("its tensors are of whole numbers")
    checkpoint.network.weights.update((name, weights[name]) for name in shapes)
    return checkpoint


def _read_header(content: bytes) -> tuple[Checkpoint, _Shapes, _Shapes]:
    """A checkpoint without its weights; names and shapes that they must have; those that the file claims.

    Errors: as _from_metadata.
    """
    header = _json(content[8 : 8 + int.from_bytes(content[:8], "little")], len(content))
    metadata = _json(header["__metadata__"]["pycharrnn"].encode(), len(content))
    claimed = {name: tuple(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}
    return *_from_metadata(metadata), claimed


def _json(text: bytes, size: int) -> Any:
    """The value of a JSON text, if that takes memory in proportion to a file of `size` bytes.

    Errors: CheckpointError; ValueError; RecursionError.
    """
    if sum(text.count(sign) * memory for sign, memory in _JSON_MEMORY.items()) > 2 * size + _JSON_SPARE:
        raise CheckpointError("its metadata unfold to far more than its size, as no checkpoint's do")
    return json.loads(text, object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose names must differ: of two values, one reader takes the first and another the second."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it says something twice")
    return found


def save_json(
    path: str | os.PathLike[str], checkpoint: Checkpoint, written: Callable[[int], None] = lambda count: None
) -> None:
    """All of a checkpoint as one JSON object, weights as nested lists: "weights": {"decoder.bias": [...]}.

    Args:
        written: called with how many weights have just been written.

    Errors: OSError.
    """
    with whole_file(path) as f:
        f.write(json.dumps(_metadata(checkpoint))[:-1].encode() + b', "weights": {')
        for k, (name, weights) in enumerate(checkpoint.network.weights.items()):
            f.write(f"{', ' if k else ''}{json.dumps(name)}: [".encode())
            for row, values in enumerate(weights):  # row by row, since lists of Python's numbers take much memory
                f.write((", " if row else "").encode() + json.dumps(values.tolist()).encode())
                written(values.size)
            f.write(b"]")
        f.write(b"}}")


def _safetensors() -> ModuleType:
    """safetensors' functions for NumPy arrays. Errors: UserError where it is not installed."""
    try:
        import safetensors.numpy
    except ImportError:
        raise extras.missing("a .safetensors file", "safetensors") from None
    return safetensors.numpy


def _metadata(checkpoint: Checkpoint) -> dict[str, object]:
    """Everything but the weights, as JSON can hold it; characters are lists of bytes, in the order of their numbers."""
    network = checkpoint.network
    return {
        "model": network.model,
        "rnn_size": network.rnn_size,
        "num_layers": network.num_layers,
        "vocab_size": network.vocab_size,
        "dropout": network.dropout,
        "tensor_type": network.tensor_type,
        "vocab": [list(c) for c, _ in sorted(checkpoint.vocab.items(), key=lambda entry: entry[1])],
        "opt": checkpoint.opt,
        "train_losses": checkpoint.train_losses,
        "val_losses": sorted(checkpoint.val_losses.items()),
        "val_loss": checkpoint.val_loss,
        "i": checkpoint.i,
        "epoch": checkpoint.epoch,
        "program": checkpoint.program,
        "era": checkpoint.era,
    }


def _from_metadata(metadata: dict[str, Any]) -> tuple[Checkpoint, _Shapes]:
    """A checkpoint without its weights, and the names and shapes that they must have.

    Errors: CheckpointError; KeyError, TypeError, ValueError, AttributeError, RecursionError where something is missing
        or of another type.
    """
    model, sizes = metadata["model"], [metadata[key] for key in ("vocab_size", "rnn_size", "num_layers")]
    if model not in MODELS or not all(type(n) is int and 0 < n < 1 << 31 for n in sizes) or sizes[2] > _MOST_LAYERS:
        raise CheckpointError(f"its model is {printable(repr(model), 20)} of sizes {sizes!s:.80}")
    dropout = recorded.number(metadata["dropout"], "the dropout")
    if not 0 <= dropout < 1:
        raise CheckpointError(f"its dropout is {dropout:g}, which is not in [0, 1)")
    if element_dtype(_word(metadata, "tensor_type").encode()) is None:
        raise CheckpointError("its tensor_type is none of Torch7's")
    vocab = recorded.vocabulary({_character(c): number for number, c in enumerate(metadata["vocab"], 1)})
    if len(vocab) != sizes[0]:
        raise CheckpointError(f"its vocabulary has {len(vocab)} characters, its model {sizes[0]}")
    network = Network(model, sizes[1], sizes[2], sizes[0], float(dropout), {}, metadata["tensor_type"])
    opt = recorded.options(metadata["opt"].items())
    for text in (x for entry in opt.items() for x in entry if isinstance(x, str)):
        text.encode("utf-8", "surrogateescape")
    checkpoint = Checkpoint(network, vocab, opt, program=_word(metadata, "program"), era=_word(metadata, "era"))
    checkpoint.train_losses = recorded.losses(metadata["train_losses"])
    checkpoint.val_losses = recorded.losses_by_iteration((i, loss) for i, loss in metadata["val_losses"])
    checkpoint.val_loss = None if metadata["val_loss"] is None else recorded.number(metadata["val_loss"], "val_loss")
    checkpoint.i = recorded.iteration(metadata["i"])
    checkpoint.epoch = recorded.number(metadata["epoch"], "an epoch")
    return checkpoint, parameter_shapes(model, *sizes)


def _word(metadata: dict[str, Any], key: str) -> str:
    """A short text of one line."""
    value = metadata[key]
    if not isinstance(value, str) or printable(value) != value:
        raise CheckpointError(f"its {key} is no short text")
    return value


def _character(numbers: object) -> bytes:
    """A character from the list of its bytes. Errors: CheckpointError; TypeError, ValueError for what is no byte."""
    if not isinstance(numbers, list):
        raise CheckpointError("its vocabulary holds something that is no list of bytes")
    return bytes(numbers)
