"""Checkpoints as .t7 files: reads those of char-rnn and torch-rnn, writes char-rnn's with the run state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compat import charrnn, load_t7, torchrnn
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.progress import bar

if TYPE_CHECKING:
    from pycharrnn.checkpoints.formats import WriteOptions

# A .t7 file holds the identity matrix of its characters. With more than _ANY_CHARACTERS characters, the matrix may have
# at most _IDENTITY_RATIO times as many numbers as the model has parameters.
_ANY_CHARACTERS, _IDENTITY_RATIO = 4096, 32


def load(path: str | os.PathLike[str]) -> charrnn.Checkpoint:
    """Read a checkpoint of char-rnn or torch-rnn. Errors: OSError; CheckpointError."""
    value = load_t7(path)
    try:
        return from_value(value)
    finally:
        charrnn.dismantle(value)


def from_value(value: object) -> charrnn.Checkpoint:
    """The checkpoint in a value of load_t7. Errors: CheckpointError; T7Error for a tensor larger than its storage."""
    return torchrnn.from_table(value) if torchrnn.is_checkpoint(value) else charrnn.from_table(value)


def save(path: str | os.PathLike[str], checkpoint: charrnn.Checkpoint, options: WriteOptions) -> None:
    """Write a checkpoint that the Lua programs load, with a bar on a terminal. Errors: OSError; UserError."""
    parameters = checkpoint.network.parameters
    check_size(checkpoint.network.vocab_size, parameters)
    dtype = options.dtype or "float64"
    copies = 2 if checkpoint.state is None or dtype != "float64" else 3  # weights, gradients, mean squares
    with bar(f"writing {os.path.basename(path)}", copies * parameters) as advance:
        charrnn.save(path, checkpoint, dtype, options.encoding, options.long_size, advance)


def check_size(vocab_size: int, parameters: int) -> None:
    """Refuse a model much smaller than its identity matrix (V, V), which would fill the disk. Errors: UserError."""
    if vocab_size > _ANY_CHARACTERS and vocab_size**2 > _IDENTITY_RATIO * parameters:
        raise UserError(
            f"a .t7 file of {vocab_size} characters is {8e-9 * vocab_size**2:.1f} GB large, for a model of {parameters}"
            f" parameters: use .safetensors, or train with a larger {flag('rnn_size')}."
        )
