"""char-rnn in Python: train a character-level LSTM, GRU or RNN on one text file, and sample from it.

`import pycharrnn` loads nothing heavy; CharRNN and the loader come, with PyTorch, when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "CharRNN": "pycharrnn.engine.model",
    "CharSplitLMMinibatchLoader": "pycharrnn.text.loader",
    "UserError": "pycharrnn.common.errors",
}

__all__ = [*_HOMES, "load"]


def load(path, **dtype_and_device):
    """The model in a checkpoint (.t7 of char-rnn or torch-rnn, .safetensors), with its `vocab` and `opt`.

    It is in evaluation mode, in which nothing is dropped; `model.train()` is for training on.

    Args:
        dtype_and_device: dtype and device of the parameters, as for CharRNN.

    Errors: pycharrnn.UserError.

    Example:
        >>> model = pycharrnn.load("lm_lstm_epoch17.33_1.5834.t7")
    """
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.engine.model import CharRNN

    return CharRNN.from_checkpoint(checkpoint.load(path), **dtype_and_device).eval()


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pycharrnn' has no attribute {name!r}")
