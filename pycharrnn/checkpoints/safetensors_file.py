"""Checkpoints as .safetensors files, which Hugging Face's library and many programs read.

Such a file holds the weights of compat.nngraph.parameter_shapes in the checkpoint's precision and, for -resume, the
tensors of checkpoints.state_tensors. Its metadata entry "pycharrnn" is the JSON text of checkpoints.metadata, with the
rest of the run state.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
from array import array
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from compat import file_magic
from compat.atomic_write import atomic_write
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.t7_content import file_content
from pycharrnn.checkpoints import metadata, state_tensors
from pycharrnn.common import extras
from pycharrnn.common.display import escape_line

if TYPE_CHECKING:
    from pycharrnn.checkpoints.formats import WriteOptions


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, options: WriteOptions) -> None:
    """Write a checkpoint with its run state. Errors: OSError; UserError where safetensors is not installed."""
    tensors, more = dict(checkpoint.network.weights), {}
    if checkpoint.state is not None:
        of_state, more["run_state"] = state_tensors.encode(checkpoint.state, checkpoint.train_losses)
        tensors |= of_state
        checkpoint = dataclasses.replace(checkpoint, train_losses=array("d"))
    in_one_piece = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    content = _safetensors().save(in_one_piece, metadata={"pycharrnn": metadata.text_of(checkpoint, **more)})
    with atomic_write(path) as f:
        f.write(content)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save`. Errors: OSError; CheckpointError; UserError without safetensors."""
    numpy_format = _safetensors()
    content = bytes(file_content(path))  # not mapped: a program that truncates a mapped file kills this process
    if file_magic.is_cut_safetensors(content):
        raise DamagedCheckpointError("it ends too early, within its header")
    if not file_magic.is_safetensors(content):
        raise CheckpointError(f"it is {file_magic.name_of(content) or 'not a safetensors file'}")
    if not file_magic.is_our_safetensors(content):
        raise CheckpointError(f"it is {file_magic.OTHER_SAFETENSORS}")
    facts, claimed = _header(content)
    checkpoint, shapes = metadata.from_facts(facts, len(content))
    has_state = isinstance(facts, dict) and "run_state" in facts
    of_state: metadata.Shapes = {}
    if has_state:
        of_state = state_tensors.shapes(checkpoint.network, sum(map(math.prod, shapes.values())), claimed)
    metadata.require_shapes(checkpoint, shapes | of_state, claimed)
    try:
        tensors = numpy_format.load(content)
    except Exception as e:  # versions of the library differ in their error classes
        raise CheckpointError(f"it is not a safetensors file ({escape_line(str(e))})") from None
    weights = {name: tensors[name] for name in shapes}
    checkpoint = metadata.with_weights(checkpoint, shapes, weights)
    if has_state:
        state_tensors.decode(checkpoint, facts["run_state"], {name: tensors[name] for name in of_state})
    return checkpoint


def _header(content: bytes) -> tuple[Any, metadata.Shapes]:
    """The parsed text of checkpoints.metadata, and the shapes of the tensors. Errors: CheckpointError."""
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = metadata.parse(content[8:start], len(content))
        tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        claimed = {name: tuple(tensor["shape"]) for name, tensor in tensors.items()}
        if any(tensor["data_offsets"][1] > len(content) - start for tensor in tensors.values()):
            raise DamagedCheckpointError("it ends too early, within its tensors")
        return metadata.parse(header["__metadata__"]["pycharrnn"].encode(), len(content)), claimed
    except CheckpointError:  # a ValueError too
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"its metadata are not pycharrnn's ({escape_line(repr(e), 80)})") from None


def is_installed() -> bool:
    return importlib.util.find_spec("safetensors") is not None


def _safetensors() -> ModuleType:
    """safetensors' functions for NumPy arrays. Errors: UserError where it is not installed."""
    try:
        import safetensors.numpy
    except ImportError:
        raise extras.missing("a .safetensors file", "safetensors") from None
    return safetensors.numpy
