"""Checkpoints as .json files: the object of checkpoints.metadata and, as its last entry, "weights" as nested lists."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
from typing import TYPE_CHECKING

import numpy as np

from compat import file_magic
from compat.atomic_write import atomic_write
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.t7_content import file_content, memory_for
from pycharrnn.checkpoints import metadata
from pycharrnn.common.display import escape_line
from pycharrnn.common.progress import bar

if TYPE_CHECKING:
    from compat.t7_objects import Array
    from pycharrnn.checkpoints.formats import WriteOptions

_WEIGHTS = b'"weights"'
_SPACES = re.compile(rb"[ \t\r\n]+")
_NAME = re.compile(rb'\s*"([\w.]{1,40})"\s*:\s*')
_OF_NUMBERS = b"0123456789+-.eE, \t\r\nNaInfity"  # the characters in and between JSON's numbers, NaN and Infinity
_TAIL = 4096  # bytes at the end of a file, more than its white space
_PIECE = 1 << 18  # bytes of text parsed at a time, since Python's numbers take much memory


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, options: WriteOptions) -> None:
    """Write a checkpoint, with a progress bar on a terminal. Errors: OSError."""
    with atomic_write(path) as f, bar(f"writing {os.path.basename(path)}", checkpoint.network.parameters) as advance:
        f.write(metadata.text_of(checkpoint)[:-1].encode() + b', "weights": {')
        for k, (name, weights) in enumerate(checkpoint.network.weights.items()):
            f.write(f"{', ' if k else ''}{json.dumps(name)}: [".encode())
            for row, values in enumerate(weights):  # row by row, since lists of Python's numbers take much memory
                f.write((", " if row else "").encode() + json.dumps(values.tolist()).encode())
                advance(values.size)
            f.write(b"]")
        f.write(b"}}")


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save`, with any white space. Errors: OSError; CheckpointError."""
    content = file_content(path)
    if content.startswith(codecs.BOM_UTF8):  # which editors on Windows add
        del content[: len(codecs.BOM_UTF8)]
    start = content.rfind(_WEIGHTS)  # the last entry has this name
    comma = len(content[:start].rstrip()) - 1
    if start < 0 or content[comma : comma + 1] != b",":
        raise _not_ours(content)
    content[comma : comma + 1] = b"}"
    checkpoint, shapes = metadata.from_text(bytes(content[: comma + 1]), len(content))
    parameters = sum(map(math.prod, shapes.values()))
    if 2 * parameters > len(content) - start or len(content) + 8 * parameters > memory_for(len(content)):
        _check_end(content)
        raise CheckpointError(f"its model has {parameters} parameters, which its {len(content)} bytes can't hold")
    scanner = _Scanner(content, start + len(_WEIGHTS))
    weights = scanner.weights(shapes)
    return metadata.with_weights(checkpoint, shapes, metadata.in_recorded_type(checkpoint, weights))


def _not_ours(content: bytearray) -> CheckpointError:
    if content.lstrip()[:1] != b"{":
        return CheckpointError(f"it is {file_magic.name_of(content) or 'not JSON'}")
    if file_magic.is_torch_rnn_json(content):
        return CheckpointError(f"it is torch-rnn's JSON, without weights: {file_magic.NAME_CHECKPOINT_OF_TORCH_RNN}")
    _check_end(content)
    return CheckpointError('it is not a JSON file of pycharrnn\'s, which ends with its "weights"')


def _check_end(content: bytearray) -> None:
    """Errors: DamagedCheckpointError for a truncated file."""
    if content[-_TAIL:].rstrip()[-1:] != b"}":
        raise DamagedCheckpointError("it ends too early: JSON ends with }")


class _Scanner:
    """Reads the weights at the end of a JSON text into arrays, without Python lists of all numbers."""

    def __init__(self, content: bytearray, at: int):
        self._content, self._at = content, at

    def weights(self, shapes: metadata.Shapes) -> dict[str, Array]:
        """The arrays of `shapes`, which must end the text. Errors: CheckpointError."""
        found: dict[str, Array] = {}
        self._sign(b":")
        self._sign(b"{")
        while len(found) < len(shapes):
            if found:
                self._sign(b",")
            name = self._name()
            if name not in shapes or name in found:
                raise CheckpointError(f"its weights have {escape_line(name, 40)} once too often")
            found[name] = self._array(name, shapes[name])
        self._sign(b"}")
        self._sign(b"}")
        if self._content[self._at :].strip():
            raise CheckpointError("it has something after its weights")
        return found

    def _array(self, name: str, shape: tuple[int, ...]) -> Array:
        out = np.empty(shape)
        rows = out.reshape(-1, shape[-1])
        if len(shape) > 1:
            self._sign(b"[")
        for k, row in enumerate(rows):
            if k:
                self._sign(b",")
            self._sign(b"[")
            end = self._content.find(b"]", self._at)
            if end < 0:
                raise self._early_end(name)
            if self._content.count(b",", self._at, end) != len(row) - 1:
                raise CheckpointError(f"its {name} is not of the shape {shape}")
            self._numbers(name, end, row)
        if len(shape) > 1:
            self._sign(b"]")
        return out

    def _numbers(self, name: str, end: int, out: Array) -> None:
        """Fill `out` with the numbers up to the bracket at `end`. Errors: CheckpointError."""
        filled = 0
        while self._at < end:
            cut = self._content.find(b",", min(self._at + _PIECE, end), end)
            cut = end if cut < 0 else cut
            piece = self._content[self._at : cut]
            if piece.translate(None, _OF_NUMBERS):
                raise CheckpointError(f"its {name} has something that is not a number")
            try:
                numbers = json.loads(b"[" + piece + b"]", parse_int=float)
                out[filled : filled + len(numbers)] = numbers
            except ValueError as e:
                raise CheckpointError(
                    f"its {name} has something that is not a number ({escape_line(str(e), 80)})"
                ) from None
            filled += len(numbers)
            self._at = cut + 1
        if filled != len(out):
            raise CheckpointError(f"its {name} has something that is not a number")

    def _name(self) -> str:
        match = _NAME.match(self._content, self._at)
        if not match and self._content.find(b":", self._at) < 0:
            raise self._early_end("the name of a weight")
        if not match:
            raise CheckpointError(f"its weights break off at byte {self._at}")
        self._at = match.end()
        return match[1].decode()

    def _early_end(self, where: str) -> CheckpointError:
        return DamagedCheckpointError(f"it ends too early, within {where}")

    def _sign(self, sign: bytes) -> None:
        spaces = _SPACES.match(self._content, self._at)
        self._at = spaces.end() if spaces else self._at
        if self._at == len(self._content):
            raise self._early_end("its weights")
        if self._content[self._at : self._at + 1] != sign:
            raise CheckpointError(f"its weights have no {sign.decode()} at byte {self._at}")
        self._at += 1
