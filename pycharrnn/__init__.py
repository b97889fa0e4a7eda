"""char-rnn in Python: train a character-level LSTM, GRU or RNN on a text, and sample from it.

Importing the package loads neither PyTorch nor NumPy; each name is imported when it is first used.

Example:
    >>> run = pycharrnn.train("poems.txt")
    >>> print(run.best.generate("The ", length=200, temperature=0.5))
    >>> model = pycharrnn.load("cv")
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pycharrnn._version import __version__ as __version__

if TYPE_CHECKING:
    from pycharrnn.analysis.activations import Reading
    from pycharrnn.analysis.copied import Passage
    from pycharrnn.analysis.scoring import Score
    from pycharrnn.common.errors import UserError
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.library.generated import BytesPiece, GeneratedText, Piece
    from pycharrnn.library.item_generation import Item
    from pycharrnn.library.model import Model, load
    from pycharrnn.library.run import LossCurve, Run
    from pycharrnn.library.training import train
    from pycharrnn.text.loader import CharSplitLMMinibatchLoader
    from pycharrnn.training.reports import TrainStep, Validation

_HOMES = {
    "BytesPiece": "pycharrnn.library.generated",
    "CharRNN": "pycharrnn.engine.model",
    "CharSplitLMMinibatchLoader": "pycharrnn.text.loader",
    "GeneratedText": "pycharrnn.library.generated",
    "Item": "pycharrnn.library.item_generation",
    "LossCurve": "pycharrnn.library.run",
    "Model": "pycharrnn.library.model",
    "Passage": "pycharrnn.analysis.copied",
    "Piece": "pycharrnn.library.generated",
    "Reading": "pycharrnn.analysis.activations",
    "Run": "pycharrnn.library.run",
    "Score": "pycharrnn.analysis.scoring",
    "TrainStep": "pycharrnn.training.reports",
    "UserError": "pycharrnn.common.errors",
    "Validation": "pycharrnn.training.reports",
    "load": "pycharrnn.library.model",
    "train": "pycharrnn.library.training",
}

__all__ = [
    "BytesPiece",
    "CharRNN",
    "CharSplitLMMinibatchLoader",
    "GeneratedText",
    "Item",
    "LossCurve",
    "Model",
    "Passage",
    "Piece",
    "Reading",
    "Run",
    "Score",
    "TrainStep",
    "UserError",
    "Validation",
    "load",
    "train",
]


def _find_compat() -> None:
    """Look, without importing it, whether what Python finds as compat is ours. Errors: ImportError."""
    try:
        found = find_spec("compat")
    except ValueError:  # something of this name was imported that was never a file
        found = None
    where = found.origin if found else None
    ours = where is not None
    if where is not None and os.path.isfile(where):  # there is none in an archive
        with open(where, "rb") as f:
            ours = b"t7_reader" in f.read()
    if not ours:
        raise ImportError(
            f"another package called 'compat' ({where or 'without a file'}) is found in the place of pycharrnn's: "
            "rename or uninstall that one and install pycharrnn again, or give pycharrnn an environment of its own.",
            name="compat",
        )


_find_compat()


def __getattr__(name: str) -> object:
    """A name of _HOMES, imported when it is first used."""
    if name in _HOMES:
        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as e:
            if e.name == "torch":
                from pycharrnn.common import extras

                extras.require_pytorch(f"pycharrnn.{name}")
            raise
    raise AttributeError(f"module 'pycharrnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names that can be imported, so that help() works without PyTorch, too."""
    from pycharrnn.common import extras

    needs_pytorch = set() if extras.has_pytorch() else {"CharRNN"}
    return sorted({*globals(), *__all__} - needs_pytorch)
