"""char-rnn in Python: train a character-level LSTM, GRU or RNN on one text file, and sample from it.

`import pycharrnn` loads nothing heavy; CharRNN and the loader come, with PyTorch, when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    import torch

    from pycharrnn.common.errors import UserError
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.text.loader import CharSplitLMMinibatchLoader

__version__ = "0.1.0"

_HOMES = {
    "CharRNN": "pycharrnn.engine.model",
    "CharSplitLMMinibatchLoader": "pycharrnn.text.loader",
    "UserError": "pycharrnn.common.errors",
}

__all__ = ["CharRNN", "CharSplitLMMinibatchLoader", "UserError", "load"]


def load(
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> CharRNN:
    """The model in a checkpoint (.t7 of char-rnn or torch-rnn, .safetensors), with its `vocab` and `opt`.

    It is in evaluation mode, in which nothing is dropped; `model.train()` is for training on.

    Args:
        dtype, device: of the parameters; by default torch.float32 on the CPU.

    Errors: pycharrnn.UserError.

    Example:
        >>> model = pycharrnn.load("lm_lstm_epoch17.33_1.5834.t7")
    """
    import torch

    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.engine.model import CharRNN

    if dtype is None:
        dtype = torch.float32
    return CharRNN.from_checkpoint(checkpoint.load(path), dtype=dtype, device=device).eval()


def __getattr__(name: str) -> object:
    """CharRNN and the others of _HOMES, imported when they are first used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pycharrnn' has no attribute {name!r}")
