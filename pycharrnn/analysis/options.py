"""The flags of eval, score, plot and activations: each with its name, default and help."""

from __future__ import annotations

from dataclasses import dataclass

from pycharrnn.common.cores import require_threads
from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import option, require, require_switches


@dataclass(frozen=True)
class EvalOptions:
    """Options of `pycharrnn eval`."""

    data_dir: str = option("", "data directory with input.txt. Left out: as in training", path="dir", group="text")
    split: str = option("val", "train, val or test", group="text", value="train|val|test")
    compare: bool = option(False, "print a table, one line a checkpoint, the lowest loss first", group="display")
    batch_size: int = option(0, "number of sequences side by side. 0 = as in training", group="text")
    seq_length: int = option(0, "number of timesteps in a batch. 0 = as in training", group="text")
    train_frac: float = option(-1, "fraction of data that goes into train set. -1 = as in training", group="text")
    val_frac: float = option(-1, "fraction of data that goes into validation set. -1 = as in training", group="text")
    old_exp: int = option(
        0, "1 = LogSoftMax as Torch7 computed it on a CPU before 27 April 2016", group="machine", value="0|1"
    )
    gpuid: int = option(-1, "which gpu to use. -1 = use CPU, in double precision", group="machine")
    threads: int = option(0, "how many threads compute. 0 = one", group="machine")

    def check(self) -> None:
        """Errors: UserError for the first value that can't be used."""
        require(self, "split", self.split in ("train", "val", "test"), "train, val or test")
        for name in ("batch_size", "seq_length"):
            require(self, name, getattr(self, name) >= 0, "at least 0")
        for name in ("train_frac", "val_frac"):
            value = getattr(self, name)
            require(self, name, value == -1 or 0 <= value <= 1, "between 0 and 1")
        require_switches(self, "old_exp")
        require_threads(self)
        if self.old_exp and self.gpuid >= 0:
            raise UserError("-old_exp is of the CPU: leave -gpuid out.")


@dataclass(frozen=True)
class ScoreOptions:
    """Options of `pycharrnn score`."""

    html: str = option(
        "", "file to write the texts to as a page, each character coloured by its surprise", path="file", group="output"
    )
    gpuid: int = option(-1, "which gpu to use. -1 = use CPU, in double precision", group="machine")
    threads: int = option(0, "how many threads compute. 0 = one", group="machine")

    def check(self) -> None:
        """Errors: UserError for a -threads that can't be one."""
        require_threads(self)


@dataclass(frozen=True)
class PlotOptions:
    """Options of `pycharrnn plot`."""

    o: str = option("losses.png", "picture to write, by its ending: .png or .svg", path="file", group="output")

    def check(self) -> None:
        """Errors: UserError for a file of another kind."""
        require(self, "o", self.o.lower().endswith((".png", ".svg")), "a file that ends in .png or .svg")


@dataclass(frozen=True)
class ActivationsOptions:
    """Options of `pycharrnn activations`."""

    primetext: str = option("", "the text to read", group="text")
    primefile: str = option("", "file with the text to read. - = standard input", path="file", group="text")
    ignore_bad_primetext: int = option(
        0, "1 = leave out what the model has never seen from the text", group="text", value="0|1"
    )
    layer: int = option(
        0, "layer of the units, 1 = the first. 0 = all for the choice by itself, the last for -units", group="display"
    )
    units: str = option(
        "",
        "numbers of the units to show, from 1: 3,17. Empty = those that hold large values longest",
        group="display",
        value="N,N,...",
    )
    count: int = option(8, "how many units to show where -units names none", group="display")
    o: str = option("activations.html", "page to write", path="file", group="output")
    threads: int = option(0, "how many threads compute. 0 = one", group="machine")

    def check(self) -> None:
        """Errors: UserError for the first value that can't be used."""
        if bool(self.primetext) == bool(self.primefile):
            raise UserError("activations needs a text to read: either -primetext TEXT or -primefile FILE.")
        require_switches(self, "ignore_bad_primetext")
        require_threads(self)
        require(self, "layer", self.layer >= 0, "at least 0")
        require(self, "count", self.count >= 1, "at least 1")
        require(self, "o", self.o.lower().endswith((".html", ".htm")), "a file that ends in .html")
