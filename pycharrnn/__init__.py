"""char-rnn in Python: train a character-level LSTM, GRU or RNN on one text file, and sample from it.

`import pycharrnn` loads nothing heavy; CharRNN and the loader come, with PyTorch, when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {"CharRNN": "pycharrnn.model", "CharSplitLMMinibatchLoader": "pycharrnn.loader"}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pycharrnn' has no attribute {name!r}")
