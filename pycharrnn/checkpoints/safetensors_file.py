"""Checkpoints as .safetensors files, which Hugging Face's library and many programs read.

Such a file holds the named weights of compat.nngraph.parameter_shapes in the precision of the checkpoint, and in its
metadata, under "pycharrnn", the JSON text of checkpoints.metadata.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from compat import file_magic
from compat.atomic_write import atomic_write
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError
from compat.t7_content import file_content
from pycharrnn.checkpoints import metadata
from pycharrnn.common import extras
from pycharrnn.common.display import escape_line

if TYPE_CHECKING:
    from pycharrnn.checkpoints.formats import Choices


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, choices: Choices) -> None:
    """Write a checkpoint as safetensors. Errors: OSError; UserError where safetensors is not installed."""
    weights = {name: np.ascontiguousarray(w) for name, w in checkpoint.network.weights.items()}
    content = _safetensors().save(weights, metadata={"pycharrnn": metadata.text_of(checkpoint)})
    with atomic_write(path) as f:
        f.write(content)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save` has written. Errors: OSError; CheckpointError; UserError without safetensors."""
    numpy_format = _safetensors()
    content = bytes(file_content(path))
    if not file_magic.is_safetensors(content):
        raise CheckpointError(f"it is {file_magic.name_of(content) or 'no safetensors file'}")
    text, claimed = _header(content)
    checkpoint, shapes = metadata.from_text(text, len(content))
    metadata.require_shapes(checkpoint, shapes, claimed)
    try:
        weights = numpy_format.load(content)
    except Exception as e:  # the library has classes of its own, and has had others
        raise CheckpointError(f"it is no safetensors file ({escape_line(str(e))})") from None
    return metadata.with_weights(checkpoint, shapes, weights)


def _header(content: bytes) -> tuple[str, metadata.Shapes]:
    """The metadata's text, and the names and shapes of tensors that the file claims. Errors: CheckpointError."""
    try:
        header = metadata.parse(content[8 : 8 + int.from_bytes(content[:8], "little")], len(content))
        claimed = {name: tuple(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}
        text = header["__metadata__"]["pycharrnn"]
        text.encode()
    except CheckpointError:  # a ValueError too
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"its metadata are not pycharrnn's ({escape_line(repr(e), 80)})") from None
    return text, claimed


def _safetensors() -> ModuleType:
    """safetensors' functions for NumPy arrays. Errors: UserError where it is not installed."""
    try:
        import safetensors.numpy
    except ImportError:
        raise extras.missing("a .safetensors file", "safetensors") from None
    return safetensors.numpy
