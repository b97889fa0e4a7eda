"""The flags of eval, score, which, copied, plot and activations: name, default, help."""

from __future__ import annotations

from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.option_fields import DEFAULT_THREADS, SWITCH, THREADS, check, file_ending, number, one_of, option
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.text import decode_text

_PAGE = file_ending(".html", ".htm")


@dataclass(frozen=True)
class EvalOptions(AdaptOptions):
    """Options of `pycharrnn eval`."""

    data_dir: str = option("", "data directory with input.txt. Default: as in training", path="dir", group="text")
    split: str = option(
        "val", "part of the text whose loss to print", group="text", allowed=one_of("train", "val", "test")
    )
    compare: int = option(
        0, "1 = print a table, one line per checkpoint, sorted by loss", group="display", allowed=SWITCH
    )
    batch_size: int = option(0, "number of sequences in a batch. 0 = as in training", group="text", allowed=number(0))
    seq_length: int = option(0, "number of timesteps in a batch. 0 = as in training", group="text", allowed=number(0))
    train_frac: float = option(
        -1, "fraction of data that goes into train set. -1 = as in training", group="text", allowed=number(0, 1)
    )
    val_frac: float = option(
        -1, "fraction of data that goes into validation set. -1 = as in training", group="text", allowed=number(0, 1)
    )
    adapt: int = option(
        0,
        "1 = print also the loss of a model that learns from the split while it reads it. Compare it only with other"
        " losses of -adapt 1",
        group="learning",
        allowed=SWITCH,
    )
    old_exp: int = option(
        0, "1 = LogSoftMax as Torch7 computed it on a CPU before 27 April 2016", group="machine", allowed=SWITCH
    )
    gpuid: int = option(-1, "which gpu to use. -1 = use CPU, in float64", group="machine")
    threads: int = option(0, "number of threads. 0 = one", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value."""
        check(self)
        if self.old_exp and self.gpuid >= 0:
            raise UserError(f"{flag('old_exp')} works on the CPU only: leave {flag('gpuid')} out.")
        self.check_adapt("adapt", self.adapt)
        if self.adapt and self.gpuid >= 0:
            raise UserError(f"{flag('adapt', 1)} works on the CPU only: leave {flag('gpuid')} out.")
        if self.adapt and self.old_exp:
            raise UserError(f"{flag('adapt', 1)} has its own LogSoftMax: leave {flag('old_exp', 1)} out.")

    def is_given(self, name: str) -> bool:
        """Whether an option is not at its default, which for those of the text means "as in training"."""
        return bool(getattr(self, name) != getattr(EvalOptions, name))


@dataclass(frozen=True)
class ScoreOptions(AdaptOptions):
    """Options of `pycharrnn score`."""

    html: str = option(
        "",
        "write a page of the texts, each character colored by its surprise, to this file: .html",
        path="file",
        group="output",
        allowed=_PAGE,
    )
    overwrite: int = option(
        0, "1 = replace the file of -html also if pycharrnn score did not write it", group="output", allowed=SWITCH
    )
    text_encoding: str = decode_text.option_for_model("the texts")
    lines: int = option(
        0,
        "1 = print each line, or each item for a model of items: its bits, bits per character, and the line, with tabs"
        " between",
        group="output",
        allowed=SWITCH,
    )
    adapt: int = option(
        0,
        "1 = print also the score of a model that learns from each text while it reads it; with -lines 1, print only"
        " the scores of that model. Compare them only with other scores of -adapt 1",
        group="learning",
        allowed=SWITCH,
    )
    sort: int = option(0, "1 = with -lines 1, the most probable line first", group="output", allowed=SWITCH)
    gpuid: int = option(-1, "which gpu to use. -1 = use CPU, in float64", group="machine")
    threads: int = option(0, "number of threads. 0 = one", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError."""
        check(self)
        if self.sort and not self.lines:
            raise UserError(f"{flag('sort', 1)} sorts lines: add {flag('lines', 1)}.")
        _check_overwrite(self.overwrite, self.html)
        if self.lines and self.html:
            raise UserError(f"{flag('lines', 1)} prints a table and {flag('html')} writes a page: leave one out.")
        self.check_adapt("adapt", self.adapt)
        if self.adapt and self.gpuid >= 0:
            raise UserError(f"{flag('adapt', 1)} works on the CPU only: leave {flag('gpuid')} out.")


@dataclass(frozen=True)
class WhichOptions:
    """Options of `pycharrnn which`."""

    prior: str = option(
        "equal",
        "probability of a label before an item is read: equal, or counts, in proportion to its items in training",
        group="items",
        allowed=one_of("equal", "counts"),
    )
    top: int = option(
        3, "number of labels to print for an item, the most probable first. 0 = all", group="output", allowed=number(0)
    )
    text_encoding: str = decode_text.option_for_model("the items")
    json: int = option(0, "1 = print a JSON object for each item, for programs", group="output", allowed=SWITCH)
    threads: int = option(0, f"number of threads. 0 = {DEFAULT_THREADS}", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value."""
        check(self)


@dataclass(frozen=True)
class CopiedOptions:
    """Options of `pycharrnn copied`."""

    text: str = option(
        "",
        "file, or folder of texts, to compare with. Default: the training text that the checkpoint records",
        path="any",
        group="text",
    )
    text_encoding: str = decode_text.option_for_model("the sample")
    least: int = option(20, "number of characters that a passage must have at least", group="output", allowed=number(1))
    top: int = option(20, "number of passages to print, the longest first. 0 = all", group="output", allowed=number(0))
    curve: int = option(
        0,
        "1 = print, for several n, the share of the sample's n-grams that are in the training split, beside that of the"
        " validation split; with -text, of the sample alone",
        group="output",
        allowed=SWITCH,
    )
    json: int = option(0, "1 = print a JSON object, for programs and pycharrnn plot", group="output", allowed=SWITCH)
    html: str = option(
        "",
        "write a page of the sample, its copies colored by their length, to this file: .html",
        path="file",
        group="output",
        allowed=_PAGE,
    )
    overwrite: int = option(
        0, "1 = replace the file of -html also if pycharrnn copied did not write it", group="output", allowed=SWITCH
    )
    threads: int = option(0, f"number of threads. 0 = {DEFAULT_THREADS}", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value."""
        check(self)
        _check_overwrite(self.overwrite, self.html)


def _check_overwrite(overwrite: int, html: str) -> None:
    """Errors: UserError for -overwrite 1 without -html."""
    if overwrite and not html:
        raise UserError(f"{flag('overwrite', 1)} is for the file of {flag('html')}: add {flag('html')} FILE.")


@dataclass(frozen=True)
class PlotOptions:
    """Options of `pycharrnn plot`."""

    o: str = option(
        "losses.png",
        "image to write: .png or .svg",
        path="file",
        group="output",
        allowed=file_ending(".png", ".svg"),
    )
    overwrite: int = option(
        0, "1 = replace the file of -o also if pycharrnn plot did not write it", group="output", allowed=SWITCH
    )

    def __post_init__(self) -> None:
        """Errors: UserError."""
        check(self)


@dataclass(frozen=True)
class ActivationsOptions:
    """Options of `pycharrnn activations`."""

    primetext: str = option("", "the text to read", group="text")
    primefile: str = option("", "file with the text to read. - = standard input", path="file", group="text")
    text_encoding: str = decode_text.option_for_model("-primefile")
    ignore_bad_primetext: int = option(
        0, "1 = leave out characters of the text that the vocabulary lacks", group="text", allowed=SWITCH
    )
    layer: int = option(
        0,
        "layer of the units, from 1. 0 = the last for -units, else all",
        group="display",
        allowed=number(0),
    )
    units: str = option(
        "",
        "numbers of the units to show, from 1: 3,17. Empty = those that keep large activations longest",
        group="display",
        value="N,N,...",
    )
    count: int = option(8, "how many units to show without -units", group="display", allowed=number(1))
    o: str = option("activations.html", "page to write", path="file", group="output", allowed=_PAGE)
    overwrite: int = option(
        0, "1 = replace the file of -o also if pycharrnn activations did not write it", group="output", allowed=SWITCH
    )
    threads: int = option(0, "number of threads. 0 = one", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value."""
        check(self)
        if self.primetext and self.primefile:
            raise UserError(f"{flag('primetext')} and {flag('primefile')} exclude each other: leave one out.")
        if self.text_encoding and not self.primefile:
            raise UserError(f"{flag('text_encoding')} is for the file of {flag('primefile')}: leave it out.")
        if self.units and self.count != ActivationsOptions.count:
            raise UserError(f"{flag('units', self.units)} names the units, {flag('count')} their number: give one.")
