"""DataSettings: which text is read, and how it is divided into splits and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pycharrnn.text import text_folder

# The values of these options; -items and -label are also empty.
Encoding = Literal["bytes", "utf8"]
Items = Literal["line", "blank", "file"]
Label = Literal["file", "folder", "column"]


@dataclass(frozen=True)
class DataSettings:
    """Values of the options of these names: see docs/flags.md."""

    data_dir: str
    batch_size: int
    seq_length: int
    train_frac: float
    val_frac: float
    vocab: str
    encoding: str
    items: str
    label: str
    seed: int

    @property
    def input_file(self) -> str:
        """The path of the text."""
        return text_folder.input_file(self.data_dir)

    @property
    def keeps_vocab(self) -> bool:
        """Whether characters that the model's vocabulary lacks are left out of the text."""
        return self.vocab == "keep"

    @property
    def split_fractions(self) -> tuple[float, float, float]:
        """The fractions of the train, val and test splits. Source: train.lua."""
        return self.train_frac, self.val_frac, max(0.0, 1 - (self.train_frac + self.val_frac))
