"""Opens a list for tests."""

from __future__ import annotations

import os

from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.item_loader import ItemLoader
from pycharrnn.text.loaders import open_batches

Fractions = tuple[float, float, float]


def list_loader(
    folder: str | os.PathLike[str],
    batch_size: int,
    seq_length: int,
    fractions: Fractions,
    kind: str = "line",
    seed: int = 5,
    label: str = "",
    encoding: str = "bytes",
    vocab: str = "strict",
    **more,
) -> ItemLoader:
    """The batches of a list; `more`: as for open_batches."""
    train, val, _ = fractions
    data = DataSettings(os.fspath(folder), batch_size, seq_length, train, val, vocab, encoding, kind, label, seed)
    batches = open_batches(data, **{"say": lambda line: None, "model_characters": None, **more})
    assert isinstance(batches, ItemLoader)
    return batches
